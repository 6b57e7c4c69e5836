import { foldedName, type Listing, leadsOut, parentOf } from "./listing";

/** What the last sync has left: both sides' words, by path, of what was the same then. */
export type Base = ReadonlyMap<string, readonly [here: string, there: string]>;

/** What a sync is to do, by path. */
export interface Plan {
    /** To the server. */
    push: string[];
    /** To this machine. */
    pull: string[];
    /** Gone there since the last sync, unchanged here. */
    goneThere: string[];
    /** Gone here since the last sync, unchanged there. */
    goneHere: string[];
    /** Changed on both sides, and the clashes. */
    conflicts: string[];
    /** Names that this machine takes for one another: the one would come to lie over the other. */
    clashes: string[];
    /** Links that lead out of the folder. */
    leftOut: string[];
}

/**
 * Compares both sides with one another and with how the last sync left them. Nothing that was changed on both sides is
 * in any other list than the conflicts. What lies below a path that one side has as another thing than a folder is in no
 * list: through a link it would come to lie elsewhere.
 *
 * @param isSame Whether two files of other times hold the same.
 * @param folds Whether this machine takes names of other case, or of accents that are composed otherwise, for the same.
 */
export function planSync(
    here: Listing,
    there: Listing,
    base: Base,
    isSame: (name: string) => boolean = () => false,
    folds = false,
): Plan {
    const plan: Plan = {
        ...{ push: [], pull: [], goneThere: [], goneHere: [] },
        ...{ conflicts: [], clashes: [], leftOut: [] },
    };
    const clashing = folds ? clashesOf(here, there) : new Set<string>();
    /** What nothing may be brought to or taken from below; a folder is sorted before what is in it. */
    const shut = new Set<string>();
    for (const name of [...new Set([...here.keys(), ...there.keys()])].sort()) {
        const [one, other] = [here.get(name), there.get(name)];
        const isShut = shut.has(parentOf(name));
        const isClash = !isShut && clashing.has(name);
        if (isClash) {
            plan.clashes.push(name);
            plan.conflicts.push(name);
        }
        const list = isShut || isClash ? undefined : listFor(name, one, other, base.get(name), isSame);
        if (list) {
            plan[list].push(name);
        }
        if (isShut || isClash || (one ?? "d") !== "d" || (other ?? "d") !== "d") {
            shut.add(name);
        }
    }
    return plan;
}

/** Names that a folding file system takes for one another. */
export function clashesOf(here: Listing, there: Listing): Set<string> {
    const spellings = new Map<string, string>();
    const clashes = new Set<string>();
    for (const name of [...here.keys(), ...there.keys()]) {
        const folded = foldedName(name);
        const other = spellings.get(folded) ?? name;
        spellings.set(folded, other);
        if (other !== name) {
            clashes.add(other).add(name);
        }
    }
    return clashes;
}

/**
 * The side that has nothing any more of what the last sync left, where the other has: a folder that is gone, or a disk
 * that is not mounted, is no wish to lose everything.
 */
export function lostSide(here: Listing, there: Listing, base: Base): "here" | "there" | undefined {
    const names = [...base.keys()];
    const [isHere, isThere] = [here, there].map((side) => names.some((name) => side.has(name)));
    return isHere === isThere ? undefined : isHere ? "there" : "here";
}

function listFor(
    name: string,
    here: string | undefined,
    there: string | undefined,
    base: readonly [string, string] | undefined,
    isSame: (name: string) => boolean,
): keyof Plan | undefined {
    const isChangedHere = here !== base?.[0];
    const isChangedThere = there !== base?.[1];
    if ((!isChangedHere && !isChangedThere) || here === there) {
        return undefined;
    }
    if ([here, there].some((word) => word && leadsOut(name, word))) {
        return "leftOut";
    }
    if (here === undefined) {
        return isChangedThere ? "pull" : "goneHere";
    }
    if (there === undefined) {
        return isChangedHere ? "push" : "goneThere";
    }
    const isOtherKind = here[0] !== there[0];
    if (isOtherKind || (isChangedHere && isChangedThere)) {
        return isSame(name) ? undefined : "conflicts";
    }
    return isChangedHere ? "push" : "pull";
}

/** Files that both sides have changed and that are of one size: only their contents tell whether they differ. */
export function lookAlike(here: Listing, there: Listing, base: Base): string[] {
    return planSync(here, there, base).conflicts.filter((name) => {
        const [kind, size] = (here.get(name) ?? "").split(" ");
        const [otherKind, otherSize] = (there.get(name) ?? "").split(" ");
        return kind === "f" && otherKind === "f" && size === otherSize;
    });
}

/**
 * How both sides are left: what is the same now, and for the rest what was before. Nothing is known any more of what is
 * of another kind on each side or clashes, nor of what lies below: whichever the user takes away, the other is new.
 */
export function newBase(
    here: Listing,
    there: Listing,
    base: Base,
    isSame: (name: string) => boolean,
    folds = false,
): Map<string, readonly [string, string]> {
    const result = new Map<string, readonly [string, string]>();
    const unknown = folds ? clashesOf(here, there) : new Set<string>();
    for (const name of [...new Set([...here.keys(), ...there.keys()])].sort()) {
        const [one, other, before] = [here.get(name), there.get(name), base.get(name)];
        if (one !== undefined && other !== undefined && (one === other || isSame(name))) {
            result.set(name, [one, other]);
        } else if (
            unknown.has(name) ||
            unknown.has(parentOf(name)) ||
            (one && other && one[0] !== other[0])
        ) {
            unknown.add(name);
        } else if (before) {
            result.set(name, before);
        }
    }
    return result;
}
