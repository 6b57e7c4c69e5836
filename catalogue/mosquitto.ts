import { serviceLimits } from "./limits";
import type { ServiceSpec } from "./types";

/** Mosquitto, an MQTT broker, from the base image. Retained messages and sessions outlive a restart. */
export const mosquitto: ServiceSpec = {
    name: "mosquitto",
    title: "Mosquitto",
    image: "base",
    toolset: "databases",
    command: ["mosquitto"],
    ports: [
        {
            name: "mqtt",
            port: 1883,
            title: "Mosquitto (MQTT)",
            url: "mqtt://carbon@{host}:{port}",
            tlsUrl: "mqtts://carbon@{host}:{port}",
            secret: "mosquitto",
        },
    ],
    volumes: [{ name: "mosquitto", path: "/var/lib/mosquitto" }],
    data: { format: "mosquitto", version: 6 },
    keys: "tls",
    secrets: [
        { name: "mosquitto", key: "mosquitto", length: 24, field: "password", login: { user: "carbon" } },
    ],
    connection: {
        variable: "MQTT_URL",
        python: 'paho.mqtt.publish.single("topic", "text", hostname="mosquitto", auth={"username": "carbon", "password": open("/run/carbon/user/mosquitto").read()})',
        tlsPython:
            'paho.mqtt.publish.single("topic", "text", hostname="mosquitto", auth={"username": "carbon", "password": open("/run/carbon/user/mosquitto").read()}, tls={"ca_certs": "/run/carbon/tls/mosquitto.pem"})',
    },
    health: { interval: "30s", timeout: "10s", startPeriod: "30s", startInterval: "1s", retries: 3 },
    ...serviceLimits,
    memory: 256,
    stopTimeout: 15,
};
