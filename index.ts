import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { clientAccess } from "./catalogue/clients";
import { clusterEnvironment } from "./catalogue/cluster";
import { foundGpu } from "./catalogue/gpu";
import { suiteImages } from "./catalogue/images";
import { urls as suiteUrls } from "./catalogue/urls";
import {
    Keys,
    PostDeployCheck,
    Service,
    SuiteNetwork,
    SwarmService,
    Workspace,
    WorkspaceImage,
} from "./components";
import { llmSecrets } from "./host/llmSecrets";
import { hostRoute } from "./host/route";
import { loadSettings, pulledImages } from "./settings";

const settings = loadSettings();
const pulled = pulledImages(settings);
const host = hostRoute(settings);
const foreignSecrets = { ...llmSecrets(settings), ...host?.secrets };
const { stack, user, dockerEnvironment, registry, caCertificates } = settings;
const provider = new docker.Provider("docker", {
    ...settings.dockerProvider,
    // With the login that Docker has for it.
    ...(registry && { registryAuth: [{ address: registry }] }),
});
const opts = { providers: { docker: provider } };

// Images: base beside the parts of compute, then compute on top of it; or both from a registry.
const { platforms, builder, push, cache, heldImages: held } = settings;
const build = { platforms, builder, push, cache, buildProxy: settings.buildProxy, caCertificates };
const wanted = suiteImages(settings);
const base = new WorkspaceImage(
    "base",
    { ...build, ...wanted.base, held: held.base, pulled: pulled.base },
    opts,
);
const compute =
    wanted.compute &&
    new WorkspaceImage(
        "compute",
        { ...build, ...wanted.compute, held: held.compute, pulled: pulled.compute, base },
        opts,
    );
const image = (compute ?? base).tag;

// Containers: the services, and the workspace that knows their passwords.
const { subnet, clusterEncryption } = settings;
const overlay = settings.cluster === "swarm" ? { encrypted: clusterEncryption === "network" } : undefined;
const { networkName: network, networkId } = new SuiteNetwork("suite", { stack, user, subnet, overlay }, opts);
const keys = new Keys("keys", { stack, user }, opts).volumeName;
const { bindAddress, ports, tlsNames, workspaceDir, environment, gpu: route } = settings;
const hosted = { bindAddress, ports, tlsNames, workspaceDir, caCertificates, environment, gpu: route };
const chosen = { choice: settings, values: settings, dockerEnvironment };
const common = { stack, user, ...chosen, ...hosted, network, keys };
const services: Service[] = [];
for (const spec of settings.services) {
    const from = settings.serviceImages[spec.name] ?? (spec.image === "base" ? base.tag : image);
    const reaches = services.filter((other) => other.spec.name === spec.needs);
    const env = clusterEnvironment(settings, spec);
    services.push(new Service(spec.name, { ...common, spec, image: from, reaches, env }, opts));
}
// Those that the nodes of a Swarm run.
const { sparkWorkers: replicas, sparkWorkerNodes: constraints, sparkWorkerCpus } = settings;
const spread = settings.swarmServices.map((spec) => {
    const reaches = services.filter((other) => other.spec.name === spec.needs);
    const share = { replicas, constraints, cpus: sparkWorkerCpus, env: clusterEnvironment(settings, spec) };
    const ref = (compute ?? base).ref;
    return new SwarmService(spec.name, { ...common, ...share, spec, image: ref, reaches, networkId }, opts);
});
const { appPorts, gitConfig, cpus, shmSize } = settings;
const env = {
    ...clientAccess(settings.services, settings),
    ...clusterEnvironment(settings, { name: "workspace" }),
};
const own = {
    image,
    services: [...services, ...spread],
    env,
    foreignSecrets,
    appPorts,
    gitConfig,
    cpus,
    shmSize,
    hostKernels: host?.access,
};
const workspace = new Workspace("workspace", { ...common, ...own }, opts);
const suite = [workspace, ...services];

// The check, again after every change.
const { containerName } = workspace;
const triggers = [
    ...suite.map(({ containerId }) => containerId),
    ...spread.map(({ serviceId }) => serviceId),
];
const dependsOn = suite.map(({ processLimit }) => processLimit);
const check =
    settings.verify === "off"
        ? undefined
        : new PostDeployCheck(
              "verify",
              { containerName, triggers, mode: settings.verify, dockerEnvironment },
              { dependsOn },
          );

/** Where everything answers, by port name. */
export const urls = suiteUrls(settings);
/** Reference, digest and platforms of each image. */
export const images = { base: imageOutput(base), ...(compute && { compute: imageOutput(compute) }) };
/** Name and id of each container, by service. */
export const containers = Object.fromEntries(
    ["workspace", ...settings.services.map((spec) => spec.name)].map((name, index) => [
        name,
        { name: suite[index]?.containerName, id: suite[index]?.containerId },
    ]),
);
/** The check's JSON document; null where `verify` is off. */
export const verification = check?.document ?? null;
/** How the workspace reaches a GPU, and what was found of it. A Linux container on a Mac has none of its own. */
export const gpu =
    route === "off"
        ? { route: "none" }
        : { route, found: host?.found ?? check?.document.apply((said) => foundGpu(route, said)) ?? null };
/** Logins by what they open. */
export const credentials = pulumi.secret(
    Object.fromEntries(
        suite
            .flatMap((service) => service.secrets)
            .map(({ spec, password }) => [spec.key, { ...spec.login, [spec.field]: password }]),
    ),
);

function imageOutput({ ref, digest, platforms }: WorkspaceImage) {
    return { ref, digest, platforms };
}
