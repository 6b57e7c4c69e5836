/** What a model is for. */
export type ModelKind = "general" | "coding" | "embedding" | "vision";

/** A file of a repository on Hugging Face's hub. */
export interface ModelFile {
    /** Where it lies in the repository. */
    file: string;
    bytes: number;
    /** What the hub must say, too. */
    sha256: string;
}

/** A model that `carbon models pull` knows by name. */
export interface CatalogueModel {
    name: string;
    title: string;
    kind: ModelKind;
    /** Repository on the hub, none of which asks for a token. */
    repository: string;
    /** Commit of the repository that is pulled. */
    revision: string;
    /** SPDX identifier of the licence that the repository names. */
    licence: string;
    model: ModelFile;
    /** What turns pictures into what the model understands (`mmproj`). */
    projector?: ModelFile;
}

/**
 * Small models that run in the memory of the service llm and answer on a laptop's processors; large and newer ones are
 * pulled by their place on the hub. Commits, sizes and hashes are those that the hub gave to several independent
 * projects that pin the same files.
 */
export const modelCatalogue: readonly CatalogueModel[] = [
    {
        name: "qwen3-0.6b",
        title: "Qwen3 0.6B, 8 bits",
        kind: "general",
        repository: "Qwen/Qwen3-0.6B-GGUF",
        revision: "23749fefcc72300e3a2ad315e1317431b06b590a",
        licence: "Apache-2.0",
        model: {
            file: "Qwen3-0.6B-Q8_0.gguf",
            bytes: 639_446_688,
            sha256: "9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
        },
    },
    {
        name: "qwen3-1.7b",
        title: "Qwen3 1.7B, 4 bits",
        kind: "general",
        repository: "ggml-org/Qwen3-1.7B-GGUF",
        revision: "daeb8e2d528a760970442092f6bf1e55c3b659eb",
        licence: "Apache-2.0",
        model: {
            file: "Qwen3-1.7B-Q4_K_M.gguf",
            bytes: 1_282_439_264,
            sha256: "d2387ca2dbfee2ffabce7120d3770dadca0b293052bc2f0e138fdc940d9bc7b5",
        },
    },
    {
        name: "qwen3-4b",
        title: "Qwen3 4B Instruct 2507, 4 bits",
        kind: "general",
        repository: "unsloth/Qwen3-4B-Instruct-2507-GGUF",
        revision: "a06e946bb6b655725eafa393f4a9745d460374c9",
        licence: "Apache-2.0",
        model: {
            file: "Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
            bytes: 2_497_281_120,
            sha256: "3605803b982cb64aead44f6c1b2ae36e3acdb41d8e46c8a94c6533bc4c67e597",
        },
    },
    {
        name: "qwen3-8b",
        title: "Qwen3 8B, 4 bits",
        kind: "general",
        repository: "Qwen/Qwen3-8B-GGUF",
        revision: "7c41481f57cb95916b40956ab2f0b139b296d974",
        licence: "Apache-2.0",
        model: {
            file: "Qwen3-8B-Q4_K_M.gguf",
            bytes: 5_027_783_488,
            sha256: "d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785",
        },
    },
    {
        name: "qwen2.5-coder-1.5b",
        title: "Qwen2.5 Coder 1.5B Instruct, 4 bits",
        kind: "coding",
        repository: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        revision: "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
        licence: "Apache-2.0",
        model: {
            file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            bytes: 1_117_320_768,
            sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        },
    },
    {
        name: "qwen2.5-coder-7b",
        title: "Qwen2.5 Coder 7B Instruct, 4 bits",
        kind: "coding",
        repository: "Qwen/Qwen2.5-Coder-7B-Instruct-GGUF",
        revision: "13fb94bfda8c8cf22497dc57b78f391a9acb426a",
        licence: "Apache-2.0",
        model: {
            file: "qwen2.5-coder-7b-instruct-q4_k_m.gguf",
            bytes: 4_683_073_536,
            sha256: "509287f78cb4d4cf6b3843734733b914b2c158e43e22a7f4bf5e963800894d3c",
        },
    },
    {
        name: "nomic-embed-text-v1.5",
        title: "Nomic Embed Text 1.5, 8 bits, 768 dimensions",
        kind: "embedding",
        repository: "nomic-ai/nomic-embed-text-v1.5-GGUF",
        revision: "0188c9bf409793f810680a5a431e7b899c46104c",
        licence: "Apache-2.0",
        model: {
            file: "nomic-embed-text-v1.5.Q8_0.gguf",
            bytes: 146_146_432,
            sha256: "3e24342164b3d94991ba9692fdc0dd08e3fd7362e0aacc396a9a5c54a544c3b7",
        },
    },
    {
        name: "qwen3-embedding-0.6b",
        title: "Qwen3 Embedding 0.6B, 8 bits, 1024 dimensions",
        kind: "embedding",
        repository: "Qwen/Qwen3-Embedding-0.6B-GGUF",
        revision: "370f27d7550e0def9b39c1f16d3fbaa13aa67728",
        licence: "Apache-2.0",
        model: {
            file: "Qwen3-Embedding-0.6B-Q8_0.gguf",
            bytes: 639_150_592,
            sha256: "06507c7b42688469c4e7298b0a1e16deff06caf291cf0a5b278c308249c3e439",
        },
    },
    {
        name: "smolvlm-500m",
        title: "SmolVLM 500M Instruct, 8 bits",
        kind: "vision",
        repository: "ggml-org/SmolVLM-500M-Instruct-GGUF",
        revision: "72e986006ef53e37cdd3f6d4241c90b0f01df376",
        licence: "Apache-2.0",
        model: {
            file: "SmolVLM-500M-Instruct-Q8_0.gguf",
            bytes: 436_806_912,
            sha256: "9d4612de6a42214499e301494a3ecc2be0abdd9de44e663bda63f1152fad1bf4",
        },
        projector: {
            file: "mmproj-SmolVLM-500M-Instruct-Q8_0.gguf",
            bytes: 108_783_360,
            sha256: "d1eb8b6b23979205fdf63703ed10f788131a3f812c7b1f72e0119d5d81295150",
        },
    },
    {
        name: "qwen3.5-4b",
        title: "Qwen3.5 4B, 4 bits",
        kind: "vision",
        repository: "unsloth/Qwen3.5-4B-GGUF",
        revision: "e87f176479d0855a907a41277aca2f8ee7a09523",
        licence: "Apache-2.0",
        model: {
            file: "Qwen3.5-4B-Q4_K_M.gguf",
            bytes: 2_740_937_888,
            sha256: "00fe7986ff5f6b463e62455821146049db6f9313603938a70800d1fb69ef11a4",
        },
        projector: {
            file: "mmproj-F16.gguf",
            bytes: 672_423_616,
            sha256: "cd88edcf8d031894960bb0c9c5b9b7e1fea6ebee02b9f7ce925a00d12891f864",
        },
    },
];

/** The files of a model. */
export function filesOf({ model, projector }: CatalogueModel): ModelFile[] {
    return [model, ...(projector ? [projector] : [])];
}

/**
 * Bytes of memory that a model takes, as a rule of thumb: its files, a tenth for what is computed, and 600 MB for a
 * context of 4096 tokens, which is what the largest of them keeps of it (36 layers of 8 heads of 128 numbers, twice, in
 * 16 bits).
 */
export function memoryNeeded(model: CatalogueModel): number {
    const size = filesOf(model).reduce((sum, { bytes }) => sum + bytes, 0);
    return Math.round(size * 1.1) + 600_000_000;
}

/**
 * The name under which a projector lies beside its model, by which the server finds it; on the hub, many are named alike.
 */
export function projectorName(model: string): string {
    return `mmproj-${model}`;
}
