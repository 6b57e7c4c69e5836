import type { Machine } from "../../settings/machine";

/** A machine of Ada's with Linux, on which nothing lies that a look at settings would find. */
export const bareMachine: Machine = {
    env: {},
    home: "/home/ada",
    user: "ada",
    projectDir: "/home/ada/carbon",
    arch: "x64",
    platform: "linux",
    readFile: () => undefined,
    isNotFolder: () => false,
    sockets: () => [],
    realpath: (file) => file,
};
