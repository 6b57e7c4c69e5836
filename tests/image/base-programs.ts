/** A program per language toolset that says `hello from <language>`, and the command that compiles and runs it. */
export interface HelloWorld {
    file: string;
    source: string;
    /** Shell command, run in the folder of `file`. */
    command: string;
}

/** By toolset of the base image; `always` is the compiler that every image has. */
export const helloWorlds: Record<string, HelloWorld[]> = {
    always: [
        {
            file: "hello.c",
            source: '#include <stdio.h>\nint main(void) { puts("hello from c"); return 0; }\n',
            command: "cc -Wall -Werror -o hello hello.c && ./hello",
        },
        {
            file: "hello.cc",
            source: '#include <iostream>\nint main() { std::cout << "hello from c++\\n"; }\n',
            command: "c++ -std=c++20 -flto -o hello hello.cc && ./hello",
        },
    ],
    python: [
        {
            file: "hello.py",
            source: 'import sys\nassert sys.version_info[:2] == (3, 13)\nprint("hello from python")\n',
            command:
                "uv venv --quiet --python /usr/bin/python3 venv && venv/bin/python hello.py && pip --version && pipx --version",
        },
    ],
    node: [
        {
            file: "hello.ts",
            source: 'const language: string = "typescript";\nconsole.log("hello from", language);\n',
            command: "tsc --strict hello.ts && node hello.js && npm --version && pnpm --version",
        },
    ],
    go: [
        {
            file: "hello.go",
            source: 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello from go") }\n',
            command: "go run hello.go",
        },
    ],
    java: [
        {
            file: "Hello.java",
            source: 'class Hello { public static void main(String[] a) { System.out.println("hello from java"); } }\n',
            command: "javac Hello.java && java Hello && mvn --version",
        },
        {
            file: "build.gradle",
            source: 'apply plugin: "java"\ntask hello { doLast { println "hello from gradle" } }\n',
            command: "gradle --offline --quiet hello",
        },
    ],
    rust: [
        {
            file: "hello.rs",
            source: 'fn main() { println!("hello from rust"); }\n',
            command: "rustc -o hello hello.rs && ./hello && cargo --version && rust-analyzer --version",
        },
    ],
    r: [
        {
            file: "hello.R",
            source: 'stopifnot(requireNamespace("IRkernel", quietly = TRUE))\ncat("hello from r\\n")\n',
            command: "Rscript hello.R",
        },
    ],
    swift: [
        {
            file: "hello.swift",
            source: 'import Foundation\nprint("hello from swift", Date.distantPast < Date())\n',
            command: "swiftc -o hello-swift hello.swift && ./hello-swift && swift package --version",
        },
    ],
    dotnet: [
        {
            file: "hello.cs",
            source: 'Console.WriteLine("hello from dotnet");\n',
            // A program of a single file: `dotnet new` would look for templates on the network.
            command: "dotnet run hello.cs",
        },
    ],
    graphics: [
        {
            file: "hello.comp",
            source: "#version 450\nlayout(local_size_x = 1) in;\nvoid main() {}\n",
            command:
                "glslangValidator -V hello.comp -o hello.spv && glslc hello.comp -o hello.spv && spirv-val hello.spv && vulkaninfo 2>&1 | grep VK_LAYER_KHRONOS_validation && echo hello from vulkan",
        },
        {
            file: "vulkan.c",
            source: '#include <stdio.h>\n#include <vulkan/vulkan.h>\nint main(void) { uint32_t v; vkEnumerateInstanceVersion(&v); puts("hello from vulkan"); return VK_API_VERSION_MINOR(v) < 4; }\n',
            command: "cc -Wall -Werror -o vulkan vulkan.c -lvulkan && ./vulkan",
        },
    ],
    databases: [
        {
            file: "clients.py",
            source: 'import pymongo\nimport qdrant_client\nqdrant_client.QdrantClient(":memory:").get_collections()\nprint("hello from db-python", pymongo.version)\n',
            command: "db-python clients.py",
        },
    ],
    cloud: [
        {
            file: "aws.sh",
            source: "aws --version && aws configure list\n",
            command: "sh aws.sh && echo hello from aws",
        },
        {
            file: "az.sh",
            source: "az version && az account list-locations --help && az monitor --help\n",
            // What a command module that cannot be loaded says, and Python's warnings.
            command:
                "sh az.sh > az.log 2>&1 && ! grep -E 'ERROR|WARNING|Warning:|Error loading' az.log && echo hello from az",
        },
        { file: "gh.sh", source: "gh --version && gh help api\n", command: "sh gh.sh && echo hello from gh" },
        {
            file: "claude.sh",
            source: "claude --version && claude --help\n",
            command: "sh claude.sh && echo hello from claude",
        },
    ],
};

/** By two toolsets that must both be on. */
export const jointHelloWorlds: { toolsets: string[]; program: HelloWorld }[] = [
    {
        toolsets: ["databases", "node"],
        program: {
            file: "hello.mongodb.js",
            source: 'print(EJSON.stringify({ "hello from": "mongosh", sum: NumberInt(1 + 1) }))\n',
            command:
                "mongosh --version && mongosh --nodb --quiet hello.mongodb.js && echo hello from mongosh",
        },
    },
];
