import { createCipheriv } from "node:crypto";
import { connect } from "node:net";
import type { Readable } from "node:stream";

/** What a VNC server offers, and whether it let the client in. */
export interface VncLogin {
    /** Ways to log in, as numbers of the RFB protocol (RFC 6143, 7.1.2). */
    securityTypes: number[];
    /** Of VNC authentication; absent where that is not offered, or no password was given. */
    accepted?: boolean;
}

const vncAuthentication = 2;

/** Shakes hands with the VNC server on `port` of this machine, and logs in if there is a password. */
export async function vncLogin(port: number, password?: string): Promise<VncLogin> {
    const socket = connect(port, "127.0.0.1");
    try {
        const greeting = await bytes(socket, 12);
        if (greeting.toString() !== "RFB 003.008\n") {
            throw new Error(`not the greeting of RFB 3.8: ${greeting}`);
        }
        socket.write(greeting);
        const securityTypes = [...(await bytes(socket, (await bytes(socket, 1)).readUInt8()))];
        if (password === undefined || !securityTypes.includes(vncAuthentication)) {
            return { securityTypes };
        }
        socket.write(Buffer.from([vncAuthentication]));
        socket.write(response(await bytes(socket, 16), password));
        return { securityTypes, accepted: (await bytes(socket, 4)).readUInt32BE() === 0 };
    } finally {
        socket.destroy();
    }
}

/** The challenge, encrypted by DES with the password's bytes as the key, each with its bits reversed (RFC 6143, 7.2.2). */
function response(challenge: Buffer, password: string): Buffer {
    const key = Buffer.alloc(8);
    key.write(password, "latin1");
    const reversed = key.map((byte) =>
        Number.parseInt(byte.toString(2).padStart(8, "0").split("").reverse().join(""), 2),
    );
    // Triple DES with one key is DES, which OpenSSL 3 no longer offers by itself.
    const cipher = createCipheriv("des-ede3", Buffer.concat([reversed, reversed, reversed]), null);
    return cipher.setAutoPadding(false).update(challenge);
}

async function bytes(socket: Readable, count: number): Promise<Buffer> {
    for (;;) {
        const read: Buffer | null = socket.read(count);
        if (read) {
            return read;
        }
        await new Promise<void>((resolve, reject) => {
            socket.once("readable", resolve);
            socket.once("error", reject);
            socket.once("end", () => reject(new Error("the server hung up")));
        });
    }
}
