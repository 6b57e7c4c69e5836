import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { baseImage, computeImage } from "./catalogue/images";
import { urls as suiteUrls } from "./catalogue/urls";
import { Keys, PostDeployCheck, Service, SuiteNetwork, Workspace, WorkspaceImage } from "./components";
import { loadSettings } from "./settings";

const settings = loadSettings();

// Images: base, and compute on top of it.
const { platforms, builder, push, caCertificates } = settings;
const build = { platforms, builder, push, caCertificates };
const base = new WorkspaceImage("base", { ...build, ...baseImage(settings) });
const compute = settings.compute
    ? new WorkspaceImage("compute", { ...build, ...computeImage(settings, base.digest) })
    : undefined;

// Containers: the services, and the workspace that knows their passwords.
const { dockerContext } = settings;
const provider = new docker.Provider("docker", dockerContext === "default" ? {} : { context: dockerContext });
const opts = { providers: { docker: provider } };
const network = new SuiteNetwork("suite", { stack: settings.stack }, opts).networkName;
const keys = new Keys("keys", { stack: settings.stack }, opts).volumeName;
const image = (compute ?? base).ref;
const services: Service[] = [];
for (const spec of settings.services) {
    const from = settings.serviceImages[spec.name] ?? (spec.image === "base" ? base.ref : image);
    const needs = services.filter((other) => other.spec.name === spec.needs);
    services.push(new Service(spec.name, { spec, settings, image: from, network, keys, needs }, opts));
}
const workspace = new Workspace("workspace", { settings, image, network, keys, services }, opts);
const suite = [workspace, ...services];

// The check, again after every change.
const check =
    settings.verify === "off"
        ? undefined
        : new PostDeployCheck(
              "verify",
              {
                  containerName: workspace.containerName,
                  triggers: [...suite.map((service) => service.containerId), image],
                  mode: settings.verify,
              },
              { dependsOn: suite.map(({ processLimit }) => processLimit) },
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
/** How the workspace reaches a GPU. A Linux container on a Mac has none of its own. */
export const gpu = { route: "none" };
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
