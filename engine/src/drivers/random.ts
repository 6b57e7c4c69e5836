import { randomInt } from "node:crypto";
import { hash } from "bcryptjs";
import { diffProps } from "../diff";
import { EngineError } from "../errors";
import { type Props, reveal, Secret } from "../values";
import { type Driver, fields, refuseUnhandled } from "./driver";

const TYPE = "random:index/randomPassword:RandomPassword";
/** The cost that the provider uses (Go's bcrypt.DefaultCost). */
const BCRYPT_COST = 10;

const CLASSES = [
    { flag: "lower", minimum: "minLower", letters: "abcdefghijklmnopqrstuvwxyz" },
    { flag: "upper", minimum: "minUpper", letters: "ABCDEFGHIJKLMNOPQRSTUVWXYZ" },
    { flag: "numeric", minimum: "minNumeric", letters: "0123456789" },
    { flag: "special", minimum: "minSpecial", letters: "!@#$%&*()-_=+[]{}<>:?" },
] as const;

const SHAPE = fields("length lower upper numeric special minLower minUpper minNumeric minSpecial");

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

/** A password that is made once and kept in the state. Every change of its inputs makes a new one. */
export const randomPassword: Driver = {
    check(inputs) {
        refuseUnhandled(TYPE, inputs, SHAPE);
        return inputs;
    },
    diff: (old, news) => ({
        changes: diffProps(old.inputs, news).map((change) => ({ ...change, replace: true })),
        deleteBeforeReplace: false,
    }),
    async create(inputs) {
        const plain = reveal(inputs) as Record<string, number | boolean>;
        const password = generatePassword(plain);
        const settings: Props = { length: Number(plain.length) };
        for (const { flag, minimum } of CLASSES) {
            settings[flag] = plain[flag] ?? true;
            settings[minimum] = plain[minimum] ?? 0;
        }
        const secrets = {
            result: new Secret(password),
            bcryptHash: new Secret(await hash(password, BCRYPT_COST)),
        };
        const outputs = {
            ...BRIDGE_STATE,
            ...settings,
            number: settings.numeric ?? true,
            ...secrets,
            id: "none",
        };
        return { id: "none", outputs };
    },
    delete: async () => {},
};

/** Draws the minimum of each class, fills up from all classes that are on, and shuffles. */
export function generatePassword(inputs: Record<string, number | boolean>): string {
    const length = Number(inputs.length);
    const classes = CLASSES.filter(({ flag }) => inputs[flag] !== false);
    const letters = classes.map((c) => c.letters).join("");
    const drawn = CLASSES.flatMap((c) =>
        Array.from({ length: Number(inputs[c.minimum] ?? 0) }, () => pick(c.letters)),
    );
    if (drawn.length > length || letters === "") {
        throw new EngineError(`${TYPE}: a password of length ${length} cannot meet its minimums.`);
    }
    while (drawn.length < length) {
        drawn.push(pick(letters));
    }
    for (let i = drawn.length - 1; i > 0; i--) {
        const j = randomInt(i + 1);
        [drawn[i], drawn[j]] = [drawn[j] ?? "", drawn[i] ?? ""];
    }
    return drawn.join("");
}

function pick(letters: string): string {
    return letters.charAt(randomInt(letters.length));
}
