import { randomInt } from "node:crypto";
import { hash } from "bcryptjs";
import { EngineError } from "../engine-error";
import { type Props, reveal, Secret } from "../values";
import { type Driver, fields, refuseUnhandled, replacingDiff } from "./driver";

const TYPE = "random:index/randomPassword:RandomPassword";
/** The cost that the provider uses (Go's bcrypt.DefaultCost). */
const BCRYPT_COST = 10;

const CLASSES = [
    { flag: "lower", letters: "abcdefghijklmnopqrstuvwxyz" },
    { flag: "upper", letters: "ABCDEFGHIJKLMNOPQRSTUVWXYZ" },
    { flag: "numeric", letters: "0123456789" },
    { flag: "special", letters: "!@#$%&*()-_=+[]{}<>:?" },
] as const;

const SHAPE = fields("length lower upper numeric special");

/** What the bridge adds to the outputs so that the real provider reads them without a change. */
const BRIDGE_STATE: Props = {
    __meta: '{"schema_version":"3"}',
    __pulumi_raw_state_delta: {
        obj: {
            ps: {
                keepers: new Secret({ replace: { raw: null } }),
                overrideSpecial: new Secret({ replace: { raw: null } }),
            },
        },
    },
};

/** Defaults of inputs that the engine refuses; the real provider records them. */
const MINIMUMS: Props = { minLower: 0, minUpper: 0, minNumeric: 0, minSpecial: 0 };

/** A password that is made once and kept in the state. Every change of its inputs makes a new one. */
export const randomPassword: Driver = {
    check(inputs) {
        refuseUnhandled(TYPE, inputs, SHAPE);
        return inputs;
    },
    diff: (old, news) => replacingDiff(old, news, false),
    async create(inputs) {
        const plain = reveal(inputs) as Record<string, number | boolean>;
        const password = generatePassword(plain);
        const flags: Props = Object.fromEntries(CLASSES.map(({ flag }) => [flag, plain[flag] ?? true]));
        const outputs = {
            ...BRIDGE_STATE,
            ...MINIMUMS,
            ...flags,
            length: Number(plain.length),
            number: plain.numeric ?? true,
            result: new Secret(password),
            bcryptHash: new Secret(await hash(password, BCRYPT_COST)),
            id: "none",
        };
        return { id: "none", outputs };
    },
    delete: async () => {},
};

/** Draws each letter from all classes that are on. */
export function generatePassword(inputs: Record<string, number | boolean>): string {
    const letters = CLASSES.filter(({ flag }) => inputs[flag] !== false)
        .map((each) => each.letters)
        .join("");
    if (letters === "") {
        throw new EngineError(`${TYPE}: a password needs letters of one kind at least.`);
    }
    return Array.from({ length: Number(inputs.length) }, () =>
        letters.charAt(randomInt(letters.length)),
    ).join("");
}
