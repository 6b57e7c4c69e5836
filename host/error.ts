/** What a user can mend on the host's side; printed without a stack. This folder's part of the program knows no command. */
export class HostError extends Error {
    override readonly name = "HostError";
}
