import type { VolumeSpec } from "./types";

/**
 * The keys that root keeps: SSH's, RDP's and those of the certificates. One volume for the stack, outside every
 * home and data folder, so that nobody but root ever owns a part of the path. Services mount it as their field
 * `keys` says.
 */
export const keysVolume: VolumeSpec = { name: "keys", path: "/var/lib/carbon/keys" };
