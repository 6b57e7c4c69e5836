import { mkdtempSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as grpc from "@grpc/grpc-js";
import type engine from "@pulumi/pulumi/proto/engine_pb";
import type resource from "@pulumi/pulumi/proto/resource_pb";
import type { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";
import { EngineError, messageOf } from "./engine-error";
import { fromJson, type Json, type Props, toJson } from "./values";

/** A resource as the program asks for it: one RegisterResource call, its options checked. */
export interface Registration {
    type: string;
    name: string;
    custom: boolean;
    parent?: string;
    inputs: Props;
    provider?: string;
    /** Version of the SDK package; part of its default provider's name. */
    version?: string;
    protect?: boolean;
    dependencies: string[];
    propertyDependencies: Record<string, string[]>;
    deleteBeforeReplace?: boolean;
    replaceOnChanges?: string[];
    additionalSecretOutputs?: string[];
    /** URNs that the resource had before. */
    aliases: string[];
    retainOnDelete?: boolean;
}

export interface Registered {
    urn: string;
    /** Undefined in a preview of something new. */
    id?: string;
    outputs: Props;
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
/** Of the SDK's questions about the monitor these are answered with yes; it then leaves the rest out. */
const FEATURES = new Set(["secrets"]);

type Unary<Request, Response> = grpc.handleUnaryCall<Request, Response>;

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
    private rootUrn = "";
    private folder: string | undefined;

    constructor(private readonly handler: MonitorHandler) {
        const { EngineService, ResourceMonitorService } = this.protocol.services;
        this.server.addService(ResourceMonitorService as unknown as grpc.ServiceDefinition, {
            supportsFeature: this.supportsFeature,
            registerResource: this.answer(this.registerResource),
            registerResourceOutputs: this.answer(this.registerResourceOutputs),
            invoke: this.refuse((r: resource.ResourceInvokeRequest) => `the function ${r.getTok()}`),
            call: this.refuse(() => "calls of a resource's methods"),
            readResource: this.refuse(() => "reading a resource that is not the stack's (a static get)"),
            registerStackTransform: this.refuse(() => "stack transforms"),
            registerStackInvokeTransform: this.refuse(() => "stack invoke transforms"),
            registerPackage: this.refuse(() => "parameterized packages"),
        });
        this.server.addService(EngineService as unknown as grpc.ServiceDefinition, {
            log: this.log,
            getRootResource: this.getRootResource,
            setRootResource: this.setRootResource,
        });
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

    /** A handler that answers with what `respond` resolves to. A failure is told here and ends the run. */
    private answer<Request, Response>(
        respond: (request: Request) => Promise<Response>,
    ): Unary<Request, Response> {
        return (call, callback) => {
            respond(call.request).then(
                (response) => callback(null, response),
                (error: unknown) => {
                    if (!(error instanceof Stopping)) {
                        this.handler.fail(error);
                    }
                    // The SDK takes CANCELLED as "the engine is stopping" and ends without a word.
                    callback({ code: this.protocol.grpc.status.CANCELLED, message: messageOf(error) });
                },
            );
        };
    }

    private refuse<Request>(name: (request: Request) => string): Unary<Request, unknown> {
        return this.answer(async (request) => {
            throw new EngineError(
                `The embedded engine does not support ${name(request)}: install the Pulumi CLI for this program.`,
            );
        });
    }

    private readonly supportsFeature: Unary<
        resource.SupportsFeatureRequest,
        resource.SupportsFeatureResponse
    > = (call, callback) => {
        const response = new this.protocol.resource.SupportsFeatureResponse();
        response.setHassupport(FEATURES.has(call.request.getId()));
        callback(null, response);
    };

    private readonly registerResource = async (request: resource.RegisterResourceRequest) => {
        const registered = await this.handler.registerResource(readRegistration(request));
        const response = new this.protocol.resource.RegisterResourceResponse();
        response.setUrn(registered.urn);
        response.setId(registered.id ?? "");
        response.setObject(
            this.protocol.Struct.fromJavaScript(
                toJson(registered.outputs) as { [key: string]: JavaScriptValue },
            ),
        );
        return response;
    };

    private readonly registerResourceOutputs = async (request: resource.RegisterResourceOutputsRequest) => {
        await this.handler.registerOutputs(request.getUrn(), readStruct(request.getOutputs()));
        return new this.protocol.Empty();
    };

    private readonly log: Unary<engine.LogRequest, Empty> = (call, callback) => {
        if (!call.request.getEphemeral()) {
            this.handler.log(SEVERITIES[call.request.getSeverity()] ?? "info", call.request.getMessage());
        }
        callback(null, new this.protocol.Empty());
    };

    private readonly getRootResource: Unary<engine.GetRootResourceRequest, engine.GetRootResourceResponse> = (
        _call,
        callback,
    ) => {
        const response = new this.protocol.engine.GetRootResourceResponse();
        response.setUrn(this.rootUrn);
        callback(null, response);
    };

    private readonly setRootResource: Unary<engine.SetRootResourceRequest, engine.SetRootResourceResponse> = (
        call,
        callback,
    ) => {
        this.rootUrn = call.request.getUrn();
        callback(null, new this.protocol.engine.SetRootResourceResponse());
    };
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
    refuseOptions(request);
    const byProperty = request.getPropertydependenciesMap();
    return {
        type: request.getType(),
        name: request.getName(),
        custom: request.getCustom(),
        parent: request.getParent() || undefined,
        inputs: readStruct(request.getObject()),
        provider: request.getProvider() || undefined,
        version: request.getVersion() || undefined,
        protect: request.getProtect() || undefined,
        dependencies: request.getDependenciesList(),
        propertyDependencies: Object.fromEntries(
            byProperty.getEntryList().map(([key]) => [key, byProperty.get(key)?.getUrnsList() ?? []]),
        ),
        deleteBeforeReplace: request.getDeletebeforereplacedefined()
            ? request.getDeletebeforereplace()
            : undefined,
        replaceOnChanges: unlessEmpty(request.getReplaceonchangesList()),
        additionalSecretOutputs: unlessEmpty(request.getAdditionalsecretoutputsList()),
        aliases: request.getAliasurnsList(),
        retainOnDelete: request.getRetainondelete() || undefined,
    };
}

function unlessEmpty(list: string[]): string[] | undefined {
    return list.length > 0 ? list : undefined;
}

/** @throws EngineError naming an option that the engine does not carry out. */
function refuseOptions(request: resource.RegisterResourceRequest): void {
    const timeouts = request.getCustomtimeouts();
    const hooks = request.getHooks()?.toObject();
    const given: Record<string, boolean> = {
        "a remote component (remote: true)": request.getRemote(),
        import: request.getImportid() !== "",
        customTimeouts: Boolean(timeouts?.getCreate() || timeouts?.getUpdate() || timeouts?.getDelete()),
        ignoreChanges: request.getIgnorechangesList().length > 0,
        deletedWith: request.getDeletedwith() !== "",
        replaceWith: request.getReplaceWithList().length > 0,
        replacementTrigger: request.getReplacementTrigger() !== undefined,
        transforms: request.getTransformsList().length > 0,
        hooks:
            hooks !== undefined &&
            Object.values(hooks).some((list) => Array.isArray(list) && list.length > 0),
        hideDiffs: request.getHidediffsList().length > 0,
        envVarMappings: request.getEnvvarmappingsMap().getLength() > 0,
        pluginDownloadURL: request.getPlugindownloadurl() !== "",
    };
    const refused = Object.keys(given).find((option) => given[option]);
    if (refused) {
        throw new EngineError(
            `The embedded engine does not support the resource option ${refused}, which ${request.getName()} ` +
                `[${request.getType()}] has: leave it out, or install the Pulumi CLI.`,
        );
    }
}
