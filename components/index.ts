export { Keys } from "./keys";
export { PostDeployCheck } from "./postDeployCheck";
export { Service } from "./service";
export { SuiteNetwork } from "./suiteNetwork";
export { SwarmService } from "./swarmService";
export { Workspace } from "./workspace";
export { WorkspaceImage } from "./workspaceImage";
