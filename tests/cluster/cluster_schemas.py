"""Schemas of the parts of KubeRay's and SkyPilot's files that configs/cluster uses.

They are written from the published API (ray.io/v1; SkyPilot's task YAML) and allow no other key: a misspelled field,
which Kubernetes prunes without a message, fails the test.
"""

from typing import Any

Schema = dict[str, Any]


def closed(required: list[str], **properties: Schema) -> Schema:
    """Return the schema of an object with these keys and no others."""
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
WORDS: Schema = {"type": "object", "additionalProperties": TEXT}
FLAGS: Schema = {"type": "object", "propertyNames": {"pattern": "^[a-z-]+$"}, "additionalProperties": TEXT}

CONTAINER = closed(
    ["name", "image", "resources", "volumeMounts"],
    name=TEXT,
    image=TEXT,
    workingDir=TEXT,
    resources=closed(["requests", "limits"], requests=WORDS, limits=WORDS),
    volumeMounts={
        "type": "array",
        "items": closed(["name", "mountPath"], name=TEXT, mountPath=TEXT, readOnly={"type": "boolean"}),
    },
)
VOLUME = closed(
    ["name"],
    name=TEXT,
    persistentVolumeClaim=closed(["claimName"], claimName=TEXT),
    emptyDir=closed([], medium={"const": "Memory"}, sizeLimit=TEXT),
    secret=closed(["secretName"], secretName=TEXT),
)
POD = closed(
    ["spec"],
    spec=closed(
        ["containers"],
        containers={"type": "array", "minItems": 1, "items": CONTAINER},
        volumes={"type": "array", "items": VOLUME},
    ),
)
HEAD = closed(["rayStartParams", "template"], rayStartParams=FLAGS, template=POD)
WORKERS = closed(
    ["groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"],
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=FLAGS,
    template=POD,
)
CLUSTER = closed(
    ["rayVersion", "headGroupSpec", "workerGroupSpecs"],
    rayVersion=TEXT,
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": WORKERS},
)
METADATA = closed(["name"], name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?$"})

RAY_CLUSTER = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayCluster"},
    metadata=METADATA,
    spec=CLUSTER,
)
RAY_JOB = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=METADATA,
    spec=closed(
        ["entrypoint", "rayClusterSpec"],
        entrypoint=TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        backoffLimit=COUNT,
        runtimeEnvYAML=TEXT,
        rayClusterSpec=CLUSTER,
    ),
)
SKYPILOT = closed(
    ["name", "resources", "run"],
    name=TEXT,
    workdir=TEXT,
    num_nodes=COUNT,
    setup=TEXT,
    run=TEXT,
    secrets={"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    envs=WORDS,
    resources=closed(
        ["accelerators"],
        accelerators={"type": "string", "pattern": "^[A-Z0-9-]+:[0-9]+$"},
        cpus=TEXT,
        memory=TEXT,
        disk_size=COUNT,
        image_id={"type": "string", "pattern": "^docker:"},
        job_recovery=closed([], strategy=TEXT, max_restarts_on_errors=COUNT),
    ),
    file_mounts={
        "type": "object",
        "additionalProperties": closed(["name", "mode"], name=TEXT, mode={"enum": ["MOUNT", "COPY", "MOUNT_CACHED"]}),
    },
)
