import { expect, it } from "vitest";
import { runProcess } from "../../src/run-process";

it.each([
    ["in use", "Error: in use\nexit status 1\n"],
    ["in use", "warning\nError: in use\n\n"],
    ["sh ended with code 1", "exit status 1\n"],
])("a program that fails has said last: %s", async (reason, said) => {
    const result = await runProcess("sh", ["-c", 'printf %s "$1" >&2; exit 1', "sh", said]);
    expect(result.reason).toMatch(new RegExp(`${reason}$`));
});
