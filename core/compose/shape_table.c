/* The table of attributes. Field by field it follows the specification; the kinds say how the canonical form prints. */
#include "config.h"

#include "compose/shape.h"

#define END {NULL, BT_SHAPE_ANY, NULL}
#define STR(k) {k, BT_SHAPE_STR, NULL}
#define STRS(k) {k, BT_SHAPE_STRS, NULL}
#define BOOL(k) {k, BT_SHAPE_BOOL, NULL}
#define SWITCH(k) {k, BT_SHAPE_SWITCH, NULL}
#define INT(k) {k, BT_SHAPE_INT, NULL}
#define COUNT(k) {k, BT_SHAPE_COUNT, NULL}
#define FLOAT(k) {k, BT_SHAPE_FLOAT, NULL}
#define BYTES(k) {k, BT_SHAPE_BYTES, NULL}
#define DURATION(k) {k, BT_SHAPE_DURATION, NULL}
#define TIME(k) {k, BT_SHAPE_TIME, NULL}
#define MAP(k) {k, BT_SHAPE_MAP, NULL}
#define ENV(k) {k, BT_SHAPE_ENV, NULL}
#define COMMAND(k) {k, BT_SHAPE_COMMAND, NULL}
#define OBJECT(k, sub) {k, BT_SHAPE_OBJECT, sub}
#define STRUCT(k, sub) {k, BT_SHAPE_STRUCT, sub}
#define LIST(k, sub) {k, BT_SHAPE_LIST, sub}
#define DICT(k, sub) {k, BT_SHAPE_DICT, sub}

static const struct bt_shape ulimit[] = {INT("soft"), INT("hard"), END};
static const struct bt_shape file_mount[] = {STR("source"), STR("target"), STR("uid"), STR("gid"),
                                             {"mode", BT_SHAPE_MODE, NULL}, END};
static const struct bt_shape build[] = {STR("context"), STR("dockerfile"), STR("dockerfile_inline"), STRS("entitlements"),
    ENV("args"), STR("provenance"), STR("sbom"), {"ssh", BT_SHAPE_ANY, NULL}, MAP("labels"), STRS("cache_from"), STRS("cache_to"),
    BOOL("no_cache"), STRS("no_cache_filter"), MAP("additional_contexts"), BOOL("pull"),
    {"extra_hosts", BT_SHAPE_HOSTS, NULL}, STR("isolation"), STR("network"), STR("target"), LIST("secrets", file_mount),
    BYTES("shm_size"), STRS("tags"), {"ulimits", BT_SHAPE_ULIMIT, ulimit}, STRS("platforms"), BOOL("privileged"), END};
/* The reference prints these two with capitals, and whole. */
static const struct bt_shape weight_device[] = {{"Path", BT_SHAPE_TEXT, NULL}, COUNT("Weight"), END};
static const struct bt_shape rate_device[] = {{"Path", BT_SHAPE_TEXT, NULL}, {"Rate", BT_SHAPE_SIZE, NULL}, END};
static const struct bt_shape blkio[] = {INT("weight"), LIST("weight_device", weight_device),
    LIST("device_read_bps", rate_device), LIST("device_read_iops", rate_device), LIST("device_write_bps", rate_device),
    LIST("device_write_iops", rate_device), END};
static const struct bt_shape credential_spec[] = {STR("config"), STR("file"), STR("registry"), END};
static const struct bt_shape dependency[] = {STR("condition"), BOOL("restart"), SWITCH("required"), END};

static const struct bt_shape device_request[] = {STRS("capabilities"), STR("driver"), {"count", BT_SHAPE_DEVICES, NULL},
    STRS("device_ids"), MAP("options"), END};
static const struct bt_shape discrete[] = {STR("kind"), COUNT("value"), END};
static const struct bt_shape generic_resource[] = {OBJECT("discrete_resource_spec", discrete), END};
static const struct bt_shape resource[] = {FLOAT("cpus"), BYTES("memory"), INT("pids"), LIST("devices", device_request),
    LIST("generic_resources", generic_resource), END};
static const struct bt_shape resources[] = {OBJECT("limits", resource), OBJECT("reservations", resource), END};
static const struct bt_shape update_config[] = {COUNT("parallelism"), DURATION("delay"), STR("failure_action"),
    DURATION("monitor"), FLOAT("max_failure_ratio"), STR("order"), END};
static const struct bt_shape restart_policy[] = {STR("condition"), TIME("delay"), COUNT("max_attempts"), TIME("window"),
    END};
static const struct bt_shape preference[] = {STR("spread"), END};
static const struct bt_shape placement[] = {STRS("constraints"), LIST("preferences", preference),
    INT("max_replicas_per_node"), END};
static const struct bt_shape deploy[] = {STR("mode"), COUNT("replicas"), MAP("labels"),
    OBJECT("update_config", update_config), OBJECT("rollback_config", update_config), STRUCT("resources", resources),
    OBJECT("restart_policy", restart_policy), STRUCT("placement", placement), STR("endpoint_mode"), END};

static const struct bt_shape hook[] = {COMMAND("command"), STR("image"), STR("user"), BOOL("privileged"),
    STR("working_dir"), ENV("environment"), BOOL("per_replica"), END};
static const struct bt_shape watch[] = {STR("path"), STR("action"), STR("target"), STRUCT("exec", hook), STRS("include"),
    STRS("ignore"), BOOL("initial_sync"), END};
static const struct bt_shape develop[] = {LIST("watch", watch), END};
static const struct bt_shape device[] = {STR("source"), STR("target"), STR("permissions"), END};
static const struct bt_shape env_file[] = {STR("path"), {"required", BT_SHAPE_TRUE, NULL}, STR("format"), END};
static const struct bt_shape healthcheck[] = {{"test", BT_SHAPE_TEST, NULL}, TIME("timeout"), TIME("interval"),
    COUNT("retries"), TIME("start_period"), TIME("start_interval"), BOOL("disable"), END};
static const struct bt_shape logging[] = {STR("driver"), MAP("options"), END};
static const struct bt_shape service_model[] = {STR("endpoint_var"), STR("model_var"), END};
static const struct bt_shape service_network[] = {STRS("aliases"), MAP("driver_opts"), INT("gw_priority"),
    STR("interface_name"), STR("ipv4_address"), STR("ipv6_address"), STRS("link_local_ips"), STR("mac_address"),
    INT("priority"), END};
static const struct bt_shape port[] = {STR("name"), STR("mode"), STR("host_ip"), INT("target"), STR("published"),
    STR("protocol"), STR("app_protocol"), END};
static const struct bt_shape provider[] = {STR("type"), {"options", BT_SHAPE_ANY, NULL}, END};
static const struct bt_shape mount_bind[] = {STR("selinux"), STR("propagation"),
    {"create_host_path", BT_SHAPE_TRUE, NULL}, STR("recursive"), END};
static const struct bt_shape mount_volume[] = {MAP("labels"), BOOL("nocopy"), STR("subpath"), END};
static const struct bt_shape mount_tmpfs[] = {BYTES("size"), {"mode", BT_SHAPE_BITS, NULL}, END};
static const struct bt_shape mount_image[] = {STR("subpath"), END};
static const struct bt_shape mount[] = {STR("type"), STR("source"), STR("target"), BOOL("read_only"), STR("consistency"),
    OBJECT("bind", mount_bind), OBJECT("volume", mount_volume), OBJECT("tmpfs", mount_tmpfs), OBJECT("image", mount_image),
    END};

const struct bt_shape bt_shape_service[] = {STRS("profiles"), MAP("annotations"), SWITCH("attach"), OBJECT("build", build),
    OBJECT("develop", develop), OBJECT("blkio_config", blkio), STRS("cap_add"), STRS("cap_drop"), STR("cgroup_parent"),
    STR("cgroup"), INT("cpu_count"), FLOAT("cpu_percent"), INT("cpu_period"), INT("cpu_quota"), INT("cpu_rt_period"),
    INT("cpu_rt_runtime"), FLOAT("cpus"), STR("cpuset"), INT("cpu_shares"), COMMAND("command"),
    LIST("configs", file_mount), STR("container_name"), OBJECT("credential_spec", credential_spec),
    DICT("depends_on", dependency), OBJECT("deploy", deploy), STRS("device_cgroup_rules"), LIST("devices", device),
    STRS("dns"), STRS("dns_opt"), STRS("dns_search"), STR("domainname"), COMMAND("entrypoint"), OBJECT("provider", provider),
    ENV("environment"), LIST("env_file", env_file), STRS("expose"), STRS("external_links"),
    {"extra_hosts", BT_SHAPE_HOSTS, NULL}, STRS("group_add"), LIST("gpus", device_request), STR("hostname"),
    OBJECT("healthcheck", healthcheck), STR("image"), SWITCH("init"), STR("ipc"), STR("isolation"), MAP("labels"),
    STRS("label_file"), STRS("links"), OBJECT("logging", logging), BYTES("mem_limit"), BYTES("mem_reservation"),
    BYTES("memswap_limit"), BYTES("mem_swappiness"), STR("mac_address"), DICT("models", service_model),
    STR("network_mode"), DICT("networks", service_network), BOOL("oom_kill_disable"), INT("oom_score_adj"), STR("pid"),
    INT("pids_limit"), STR("platform"), LIST("ports", port), BOOL("privileged"), STR("pull_policy"),
    STR("pull_refresh_after"), BOOL("read_only"), STR("restart"), STR("runtime"), COUNT("scale"),
    LIST("secrets", file_mount), STRS("security_opt"), BYTES("shm_size"), BOOL("stdin_open"), TIME("stop_grace_period"),
    STR("stop_signal"), MAP("storage_opt"), MAP("sysctls"), STRS("tmpfs"), BOOL("tty"),
    {"ulimits", BT_SHAPE_ULIMIT, ulimit}, BOOL("use_api_socket"), STR("user"), STR("userns_mode"), STR("uts"),
    LIST("volumes", mount), STRS("volumes_from"), STR("working_dir"), LIST("pre_start", hook), LIST("post_start", hook),
    LIST("pre_stop", hook), END};

static const struct bt_shape ipam_pool[] = {STR("subnet"), STR("gateway"), STR("ip_range"), MAP("aux_addresses"), END};
static const struct bt_shape ipam[] = {STR("driver"), LIST("config", ipam_pool), MAP("options"), END};
const struct bt_shape bt_shape_network[] = {STR("name"), STR("driver"), MAP("driver_opts"), STRUCT("ipam", ipam),
    BOOL("external"), BOOL("internal"), BOOL("attachable"), MAP("labels"), SWITCH("enable_ipv4"), SWITCH("enable_ipv6"), END};
const struct bt_shape bt_shape_volume[] = {STR("name"), STR("driver"), MAP("driver_opts"), BOOL("external"), MAP("labels"),
    END};
const struct bt_shape bt_shape_secret[] = {STR("name"), STR("file"), STR("environment"), BOOL("external"), MAP("labels"),
    STR("driver"), MAP("driver_opts"), STR("template_driver"), END};
const struct bt_shape bt_shape_config[] = {STR("name"), STR("file"), STR("environment"), STR("content"), BOOL("external"),
    MAP("labels"), STR("template_driver"), END};
const struct bt_shape bt_shape_model[] = {STR("name"), STR("model"), INT("context_size"), STRS("runtime_flags"), END};
