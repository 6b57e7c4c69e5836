import { mkdtempSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as grpc from "@grpc/grpc-js";
import type engine from "@pulumi/pulumi/proto/engine_pb";
import type resource from "@pulumi/pulumi/proto/resource_pb";
import type { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";
import { EngineError, messageOf } from "./engine-error";
import type { ResourceState } from "./state";
import { fromJson, type Json, type Props, toJson, unlessEmpty } from "./values";

/** What the program gets to know; in a preview, what is new has no id. */
export type Registered = Pick<ResourceState, "urn" | "id" | "outputs">;

/** A resource as the program asks for it: one RegisterResource call, its options checked. */
export interface Registration
    extends Omit<
        ResourceState,
        keyof Registered | "delete" | "initErrors" | "created" | "modified" | "others"
    > {
    name: string;
    /** Version of the SDK package; part of its default provider's name. */
    version?: string;
    deleteBeforeReplace?: boolean;
    /** Names of properties that keep their old value. */
    ignoreChanges?: string[];
    /** URNs that the resource had before. */
    aliases: string[];
}

export type Severity = "debug" | "info" | "warning" | "error";

/** What the program's calls end in. */
export interface MonitorHandler {
    /** @throws `Stopping` when the run is ending for a reason told already. */
    registerResource(registration: Registration): Promise<Registered>;
    registerOutputs(urn: string, outputs: Props): Promise<void>;
    log(severity: Severity, message: string): void;
    /** A call cannot be carried out; the run ends. */
    fail(error: unknown): void;
}

/** Ends a call without a message of its own: the run is stopping. */
export class Stopping extends Error {}

const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;
/** Of a socket's path: 104 on macOS, 108 on Linux, a closing zero included. */
const MAX_PATH_BYTES = 103;
const SEVERITIES: Severity[] = ["debug", "info", "warning", "error"];

/** The protocol's libraries, loaded when a program is run: they take a fifth of a second, which most commands do without. */
function loadProtocol() {
    return {
        grpc: require("@grpc/grpc-js") as typeof grpc,
        services: {
            ...(require("@pulumi/pulumi/proto/engine_grpc_pb") as typeof import("@pulumi/pulumi/proto/engine_grpc_pb")),
            ...(require("@pulumi/pulumi/proto/resource_grpc_pb") as typeof import("@pulumi/pulumi/proto/resource_grpc_pb")),
        },
        engine: require("@pulumi/pulumi/proto/engine_pb") as typeof engine,
        resource: require("@pulumi/pulumi/proto/resource_pb") as typeof resource,
        ...(require("google-protobuf/google/protobuf/empty_pb") as { Empty: typeof Empty }),
        ...(require("google-protobuf/google/protobuf/struct_pb") as { Struct: typeof Struct }),
    };
}

/**
 * Serves the Pulumi protocol's ResourceMonitor and Engine on a unix socket in a folder that only this user can enter.
 * The protocol has no login, and a registered command runs as this user: a TCP port would take orders from everybody.
 */
export class Monitor {
    private readonly protocol = loadProtocol();
    private readonly server = new this.protocol.grpc.Server({
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    });
    private readonly handler: Promise<MonitorHandler>;
    private rootUrn = "";
    private folder: string | undefined;

    /** @param handler where it is yet to come, the program's calls wait for it. */
    constructor(handler: MonitorHandler | Promise<MonitorHandler>) {
        const { EngineService, ResourceMonitorService } = this.protocol.services;
        this.handler = Promise.resolve(handler);
        this.server.addService(
            ResourceMonitorService as unknown as grpc.ServiceDefinition,
            this.resourceMonitor(),
        );
        this.server.addService(EngineService as unknown as grpc.ServiceDefinition, this.engine());
    }

    /**
     * @returns the address to give to the program.
     * @throws EngineError when the folder for temporary files cannot hold the socket.
     */
    async listen(): Promise<string> {
        this.folder = makeSocketFolder();
        const address = `unix:${join(this.folder, "s")}`;
        const credentials = this.protocol.grpc.ServerCredentials.createInsecure();
        await new Promise<void>((resolve, reject) => {
            this.server.bindAsync(address, credentials, (error) => (error ? reject(error) : resolve()));
        });
        return address;
    }

    close(): void {
        this.server.forceShutdown();
        if (this.folder) {
            rmSync(this.folder, { recursive: true, force: true });
        }
    }

    /** Passes on what the program says or prints. */
    log(severity: Severity, text: string): void {
        void this.tell((handler) => handler.log(severity, text));
    }

    /** Why there is no handler is told by whoever was to give it. */
    private tell(say: (handler: MonitorHandler) => void): Promise<void> {
        return this.handler.then(say).catch(() => {});
    }

    /** A gRPC handler that answers with what `respond` resolves to. A failure is told here and ends the run. */
    private answer<Request, Response>(
        respond: (request: Request) => Promise<Response>,
    ): grpc.handleUnaryCall<Request, Response> {
        return async (call, callback) => {
            try {
                callback(null, await respond(call.request));
            } catch (error) {
                if (!(error instanceof Stopping)) {
                    await this.tell((handler) => handler.fail(error));
                }
                // The SDK takes CANCELLED as "the engine is stopping" and ends without a word.
                callback({ code: this.protocol.grpc.status.CANCELLED, message: messageOf(error) });
            }
        };
    }

    private refuse<Request>(name: (request: Request) => string): grpc.handleUnaryCall<Request, unknown> {
        return this.answer(async (request: Request) => {
            throw new EngineError(
                `The embedded engine does not support ${name(request)}: install the Pulumi CLI for this program.`,
            );
        });
    }

    private resourceMonitor(): grpc.UntypedServiceImplementation {
        const { resource: messages, Struct, Empty } = this.protocol;
        return {
            supportsFeature: this.answer(async (request: resource.SupportsFeatureRequest) => {
                const response = new messages.SupportsFeatureResponse();
                // What it is told no about, the SDK leaves out.
                response.setHassupport(request.getId() === "secrets");
                return response;
            }),
            registerResource: this.answer(async (request: resource.RegisterResourceRequest) => {
                const handler = await this.handler;
                const { urn, id, outputs } = await handler.registerResource(readRegistration(request));
                const response = new messages.RegisterResourceResponse();
                response.setUrn(urn);
                response.setId(id ?? "");
                const object = toJson(outputs) as { [key: string]: JavaScriptValue };
                response.setObject(Struct.fromJavaScript(object));
                return response;
            }),
            registerResourceOutputs: this.answer(async (request: resource.RegisterResourceOutputsRequest) => {
                const outputs = readStruct(request.getOutputs());
                await (await this.handler).registerOutputs(request.getUrn(), outputs);
                return new Empty();
            }),
            invoke: this.refuse((r: resource.ResourceInvokeRequest) => `the function ${r.getTok()}`),
            call: this.refuse(() => "calls of a resource's methods"),
            readResource: this.refuse(() => "reading a resource that is not the stack's (a static get)"),
            registerStackTransform: this.refuse(() => "stack transforms"),
            registerStackInvokeTransform: this.refuse(() => "stack invoke transforms"),
            registerPackage: this.refuse(() => "parameterized packages"),
        };
    }

    private engine(): grpc.UntypedServiceImplementation {
        const { engine: messages, Empty } = this.protocol;
        return {
            log: this.answer(async (request: engine.LogRequest) => {
                if (!request.getEphemeral()) {
                    this.log(SEVERITIES[request.getSeverity()] ?? "info", request.getMessage());
                }
                return new Empty();
            }),
            getRootResource: this.answer(async () => {
                const response = new messages.GetRootResourceResponse();
                response.setUrn(this.rootUrn);
                return response;
            }),
            setRootResource: this.answer(async (request: engine.SetRootResourceRequest) => {
                this.rootUrn = request.getUrn();
                return new messages.SetRootResourceResponse();
            }),
        };
    }
}

/** A new folder of mode 0700, which mkdtemp gives it. */
function makeSocketFolder(): string {
    try {
        const base = realpathSync(tmpdir());
        refuseBase(base);
        return mkdtempSync(join(base, "engine-"));
    } catch (error) {
        throw error instanceof EngineError
            ? error
            : new EngineError(
                  `No folder can be made in ${tmpdir()}: ${messageOf(error)}. Set TMPDIR to one that you may write to.`,
              );
    }
}

/** @throws EngineError when a socket's path would be too long, or others could put a folder in this one's place. */
function refuseBase(base: string): void {
    if (Buffer.byteLength(join(base, "engine-XXXXXX", "s")) > MAX_PATH_BYTES) {
        throw new EngineError(
            `The path of the folder for temporary files is too long for a socket: set TMPDIR to a shorter one ` +
                `than ${base}, such as /tmp.`,
        );
    }
    const { uid, mode } = statSync(base);
    const foreign = uid !== 0 && uid !== process.getuid?.();
    // In a folder that others may write to, the sticky bit keeps them from renaming what is not theirs.
    if (foreign || ((mode & 0o022) !== 0 && (mode & 0o1000) === 0)) {
        throw new EngineError(
            `Other users may change what lies in ${base}, where the engine's socket would be: set TMPDIR to a ` +
                `folder of your own, or run "chmod go-w ${base}".`,
        );
    }
}

function readStruct(struct: Struct | undefined): Props {
    return struct ? (fromJson(struct.toJavaScript() as Json) as Props) : {};
}

function readRegistration(request: resource.RegisterResourceRequest): Registration {
    const options = request.toObject();
    refuseOptions({ ...options, hasTrigger: request.hasReplacementTrigger() });
    return {
        type: options.type,
        name: options.name,
        custom: options.custom,
        parent: options.parent || undefined,
        inputs: readStruct(request.getObject()),
        provider: options.provider || undefined,
        version: options.version || undefined,
        protect: options.protect || undefined,
        dependencies: options.dependenciesList,
        propertyDependencies: Object.fromEntries(
            options.propertydependenciesMap.map(([key, { urnsList }]) => [key, urnsList]),
        ),
        deleteBeforeReplace: options.deletebeforereplacedefined ? options.deletebeforereplace : undefined,
        ignoreChanges: options.ignorechangesList,
        replaceOnChanges: unlessEmpty(options.replaceonchangesList),
        additionalSecretOutputs: unlessEmpty(options.additionalsecretoutputsList),
        aliases: options.aliasurnsList,
        retainOnDelete: options.retainondelete || undefined,
    };
}

type Options = resource.RegisterResourceRequest.AsObject & { hasTrigger: boolean };

/** The resource options that the engine does not carry out, by their fields in the protocol. */
const REFUSED: Partial<Record<keyof Options, string>> = {
    remote: "a remote component (remote: true)",
    importid: "import",
    customtimeouts: "customTimeouts",
    deletedwith: "deletedWith",
    replaceWithList: "replaceWith",
    hasTrigger: "replacementTrigger",
    transformsList: "transforms",
    hooks: "hooks",
    hidediffsList: "hideDiffs",
    envvarmappingsMap: "envVarMappings",
    plugindownloadurl: "pluginDownloadURL",
};

/** @throws EngineError naming an option that the engine does not carry out. */
function refuseOptions(options: Options): void {
    const nested = options.ignorechangesList.find((path) => !/^\w+$/.test(path));
    if (nested) {
        throw new EngineError(
            `The embedded engine supports ignoreChanges of whole properties only, and ${options.name} ` +
                `[${options.type}] names ${nested}: name the property, or install the Pulumi CLI.`,
        );
    }
    const refused = Object.entries(REFUSED).find(([field]) => isSet(options[field as keyof Options]));
    if (refused) {
        throw new EngineError(
            `The embedded engine does not support the resource option ${refused[1]}, which ${options.name} ` +
                `[${options.type}] has: leave it out, or install the Pulumi CLI.`,
        );
    }
}

/** The protocol has empty texts, lists and messages for what is not set. */
function isSet(field: unknown): boolean {
    return typeof field === "object" && field !== null ? Object.values(field).some(isSet) : Boolean(field);
}
