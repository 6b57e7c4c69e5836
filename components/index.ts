export { Keys } from "./keys";
export { PostDeployCheck, type PostDeployCheckArgs } from "./postDeployCheck";
export { type GeneratedSecret, Service, type ServiceArgs } from "./service";
export { SuiteNetwork } from "./suiteNetwork";
export { Workspace, type WorkspaceArgs } from "./workspace";
export { WorkspaceImage, type WorkspaceImageArgs } from "./workspaceImage";
