/** ` --stack name`, to end a command with that a user is told to type; nothing for the default. */
export function stackFlag(stack: string): string {
    return stack === "dev" ? "" : ` --stack ${stack}`;
}
