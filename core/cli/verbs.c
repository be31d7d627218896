/* The table of verbs: all that parsing, help, completions and the manual page know. */
#include "config.h"

#include "cli/cli.h"

const struct bt_option bt_options_all[] = {
    {"host", 'H', BT_OPT_TEXT, "ADDRESS", "server: unix:///path, http://host:port or https://host:port (BERTH_HOST)", BT_COMPLETE_NONE},
    {"namespace", 'n', BT_OPT_TEXT, "NAMESPACE", "namespace (BERTH_NAMESPACE, else \"default\")", BT_COMPLETE_NONE},
    {"help", 'h', BT_OPT_FLAG, NULL, "this help", BT_COMPLETE_NONE},
    {"version", 'V', BT_OPT_FLAG, NULL, "the version of this command", BT_COMPLETE_NONE},
    {NULL}};

const struct bt_option bt_options_list[] = {
    {"format", 0, BT_OPT_TEXT, "table|json", "how to print", BT_COMPLETE_NONE},
    {"quiet", 'q', BT_OPT_FLAG, NULL, "names only, one a line", BT_COMPLETE_NONE},
    {NULL}};

#define FORMAT {"format", 0, BT_OPT_TEXT, "table|json", "how to print", BT_COMPLETE_NONE}
#define FILES {"file", 'f', BT_OPT_LIST, "FILE", "Compose file; several are merged in order", BT_COMPLETE_FILE}
#define PROJECT {"project-name", 'p', BT_OPT_TEXT, "NAME", "app, instead of the current folder's project", BT_COMPLETE_APP}
#define EVERYWHERE {"all-namespaces", 'A', BT_OPT_FLAG, NULL, "of all namespaces", BT_COMPLETE_NONE}
#define ALL {"all", 'a', BT_OPT_FLAG, NULL, "of all apps, not only of the current folder's project", BT_COMPLETE_NONE}
#define DETACH {"detach", 'd', BT_OPT_FLAG, NULL, "do not wait", BT_COMPLETE_NONE}
#define WAIT {"wait-timeout", 0, BT_OPT_TEXT, "TIME", "wait at most so long: seconds or 1m30s (600; 0: no end)", BT_COMPLETE_NONE}
#define DRY {"dry-run", 0, BT_OPT_FLAG, NULL, "print what would change and why; change nothing", BT_COMPLETE_NONE}
#define MESSAGE {"message", 'm', BT_OPT_TEXT, "TEXT", "what the change is for, kept in the history", BT_COMPLETE_NONE}
#define LOADING                                                                                                           \
  {"env-file", 0, BT_OPT_LIST, "FILE", "variables for the file, instead of .env", BT_COMPLETE_FILE},                       \
      {"profile", 0, BT_OPT_LIST, "NAME", "services of this profile as well; \"*\" means all", BT_COMPLETE_NONE},           \
      {"project-directory", 0, BT_OPT_TEXT, "FOLDER", "what relative paths mean, instead of the first file's folder",       \
       BT_COMPLETE_FOLDER},                                                                                                \
  {                                                                                                                        \
    "compat", 0, BT_OPT_TEXT, "refuse|warn", "what to do with attributes that Berth does not have (refuse)", BT_COMPLETE_NONE \
  }

static const struct bt_option up_options[] = {
    FILES, PROJECT, LOADING, DRY, DETACH, WAIT,
    {"build", 0, BT_OPT_FLAG, NULL, "build images anew", BT_COMPLETE_NONE},
    {"no-build", 0, BT_OPT_FLAG, NULL, "never build an image", BT_COMPLETE_NONE},
    {"force-recreate", 0, BT_OPT_FLAG, NULL, "new instances even where nothing changed", BT_COMPLETE_NONE},
    {"scale", 0, BT_OPT_LIST, "SERVICE=N", "so many instances, whatever the file says", BT_COMPLETE_NONE},
    MESSAGE, FORMAT, {NULL}};
static const struct bt_option plan_options[] = {
    FILES, PROJECT, LOADING,
    {"rebalance", 0, BT_OPT_FLAG, NULL, "instead, which instances of all apps would have better places", BT_COMPLETE_NONE},
    {"force-recreate", 0, BT_OPT_FLAG, NULL, "new instances even where nothing changed", BT_COMPLETE_NONE},
    {"scale", 0, BT_OPT_LIST, "SERVICE=N", "so many instances, whatever the file says", BT_COMPLETE_NONE},
    FORMAT, {NULL}};
static const struct bt_option simulate_options[] = {
    {"nodes", 0, BT_OPT_TEXT, "N", "so many more (1; at most 1000)", BT_COMPLETE_NONE},
    {"like", 0, BT_OPT_TEXT, "NAME", "like this node, or like those of this pool", BT_COMPLETE_NODE},
    FILES, PROJECT, LOADING, FORMAT, {NULL}};
static const struct bt_option ls_options[] = {EVERYWHERE, {NULL}};
static const struct bt_option ps_options[] = {FILES, PROJECT, ALL, EVERYWHERE, {NULL}};
static const struct bt_option project_options[] = {FILES, PROJECT, {NULL}};
#define JSON {"format", 0, BT_OPT_TEXT, "json", "JSON is what is printed", BT_COMPLETE_NONE}
static const struct bt_option restart_options[] = {FILES, PROJECT, FORMAT, {NULL}};
static const struct bt_option inspect_options[] = {FILES, PROJECT, JSON, {NULL}};
static const struct bt_option json_options[] = {JSON, {NULL}};
static const struct bt_option why_options[] = {FILES, PROJECT, FORMAT, {NULL}};
static const struct bt_option down_options[] = {
    FILES, PROJECT, {"volumes", 'v', BT_OPT_FLAG, NULL, "remove its named volumes as well: their data is lost", BT_COMPLETE_NONE},
    DETACH, WAIT, FORMAT, {NULL}};
static const struct bt_option scale_options[] = {FILES, PROJECT, DRY, DETACH, WAIT, FORMAT, {NULL}};
static const struct bt_option scale_verb_options[] = {
    FILES, PROJECT, {"recommend", 0, BT_OPT_FLAG, NULL, "list what services are recommended to reserve, as \"berth autoscale ls\" does; scale nothing", BT_COMPLETE_NONE},
    DRY, DETACH, WAIT, FORMAT, {NULL}};
static const struct bt_option rollback_options[] = {
    FILES, PROJECT, {"to", 0, BT_OPT_TEXT, "REVISION", "this revision (the one before the present)", BT_COMPLETE_NONE},
    DRY, DETACH, WAIT, MESSAGE, FORMAT, {NULL}};
static const struct bt_option logs_options[] = {
    {"file", 0, BT_OPT_LIST, "FILE", "Compose file that names the project", BT_COMPLETE_FILE}, PROJECT, ALL,
    {"follow", 'f', BT_OPT_FLAG, NULL, "go on with what comes, and with instances that come", BT_COMPLETE_NONE},
    {"tail", 0, BT_OPT_TEXT, "N", "the last N lines of each instance (all)", BT_COMPLETE_NONE},
    {"since", 0, BT_OPT_TEXT, "TIME", "from this time on: RFC 3339, or 10m for ten minutes ago", BT_COMPLETE_NONE},
    {"timestamps", 't', BT_OPT_FLAG, NULL, "the time in front of each line", BT_COMPLETE_NONE},
    {"no-prefix", 0, BT_OPT_FLAG, NULL, "the lines alone", BT_COMPLETE_NONE},
    {"format", 0, BT_OPT_TEXT, "text|json", "how to print; as JSON an object a line", BT_COMPLETE_NONE}, {NULL}};
static const struct bt_option exec_options[] = {
    FILES, PROJECT,
    {"interactive", 'i', BT_OPT_FLAG, NULL, "pass standard input on", BT_COMPLETE_NONE},
    {"tty", 't', BT_OPT_FLAG, NULL, "give the command a terminal", BT_COMPLETE_NONE},
    {"user", 'u', BT_OPT_TEXT, "USER", "as this user", BT_COMPLETE_NONE},
    {"workdir", 'w', BT_OPT_TEXT, "FOLDER", "in this folder", BT_COMPLETE_NONE}, {NULL}};
static const struct bt_option top_options[] = {
    FILES, PROJECT, ALL, {"once", 0, BT_OPT_FLAG, NULL, "print once and end", BT_COMPLETE_NONE}, FORMAT, {NULL}};
static const struct bt_option events_options[] = {
    {"follow", 'f', BT_OPT_FLAG, NULL, "go on with what happens", BT_COMPLETE_NONE},
    {"type", 0, BT_OPT_TEXT, "GLOB", "only of this type, such as \"instance.*\"", BT_COMPLETE_NONE},
    {"after", 0, BT_OPT_TEXT, "REVISION", "only later ones", BT_COMPLETE_NONE}, EVERYWHERE, FORMAT, {NULL}};
static const struct bt_option config_options[] = {
    FILES, PROJECT, LOADING,
    {"check", 0, BT_OPT_FLAG, NULL, "refuse what Berth does not have, as \"berth up\" does", BT_COMPLETE_NONE},
    {"services", 0, BT_OPT_FLAG, NULL, "names of services only", BT_COMPLETE_NONE},
    {"volumes", 0, BT_OPT_FLAG, NULL, "names of volumes only", BT_COMPLETE_NONE},
    {"networks", 0, BT_OPT_FLAG, NULL, "names of networks only", BT_COMPLETE_NONE},
    {"secrets", 0, BT_OPT_FLAG, NULL, "names of secrets only", BT_COMPLETE_NONE},
    {"configs", 0, BT_OPT_FLAG, NULL, "names of configs only", BT_COMPLETE_NONE},
    {"profiles", 0, BT_OPT_FLAG, NULL, "names of profiles only", BT_COMPLETE_NONE},
    {"images", 0, BT_OPT_FLAG, NULL, "images only", BT_COMPLETE_NONE},
    {"hash", 0, BT_OPT_TEXT, "SERVICE", "a hash of the service, or of each with \"*\"", BT_COMPLETE_NONE},
    JSON,
    {"quiet", 'q', BT_OPT_FLAG, NULL, "only check", BT_COMPLETE_NONE}, {NULL}};
static const struct bt_option follow_options[] = {
    {"repo", 0, BT_OPT_TEXT, "URL", "the repository: https://, ssh://, file:// or user@host:path", BT_COMPLETE_NONE},
    {"branch", 0, BT_OPT_TEXT, "BRANCH", "the branch (main)", BT_COMPLETE_NONE},
    {"tag", 0, BT_OPT_TEXT, "PATTERN", "in place of a branch the highest version among these tags, such as \"v1.*\"", BT_COMPLETE_NONE},
    {"path", 0, BT_OPT_TEXT, "FOLDER", "folder of the repository with the Compose file (its root)", BT_COMPLETE_NONE},
    {"file", 'f', BT_OPT_LIST, "FILE", "Compose file in that folder; several are merged in order", BT_COMPLETE_NONE},
    {"env", 'e', BT_OPT_LIST, "NAME=VALUE", "a variable for the Compose file", BT_COMPLETE_NONE},
    {"profile", 0, BT_OPT_LIST, "NAME", "services of this profile as well; \"*\" means all", BT_COMPLETE_NONE},
    {"interval", 0, BT_OPT_TEXT, "TIME", "how often to look (1m; from 10s to 24h)", BT_COMPLETE_NONE},
    {"on-request", 0, BT_OPT_FLAG, NULL, "deploy nothing but by \"berth sync\"", BT_COMPLETE_NONE},
    {"correct", 0, BT_OPT_FLAG, NULL, "take back what somebody changes by hand", BT_COMPLETE_NONE},
    {"signed-by", 0, BT_OPT_LIST, "FILE", "only commits signed by a key of these files: lines of ssh's allowed_signers, armoured OpenPGP keys",
     BT_COMPLETE_FILE},
    {"signed-by-secret", 0, BT_OPT_TEXT, "SECRET", "the same with the keys in a secret", BT_COMPLETE_SECRET},
    {"no-webhook", 0, BT_OPT_FLAG, NULL, "do not look when the repository's host tells of a push", BT_COMPLETE_NONE},
    {"no-report", 0, BT_OPT_FLAG, NULL, "do not tell the repository's host what became of a commit", BT_COMPLETE_NONE},
    {"compat", 0, BT_OPT_TEXT, "refuse|warn", "what to do with attributes that Berth does not have (refuse)", BT_COMPLETE_NONE},
    DETACH, WAIT, FORMAT, {NULL}};
static const struct bt_option sync_options[] = {DRY, DETACH, WAIT, FORMAT, {NULL}};
static const struct bt_option source_options[] = {EVERYWHERE, {NULL}};
static const struct bt_option plugin_new_options[] = {
    {"interface", 0, BT_OPT_TEXT, "chat|lb|monitor|registry|runtime|scm", "what kind of product it joins to Berth", BT_COMPLETE_NONE},
    {"language", 0, BT_OPT_TEXT, "c|python|lua", "what it is written in (c)", BT_COMPLETE_NONE},
    {"dir", 0, BT_OPT_TEXT, "FOLDER", "make it here (./NAME)", BT_COMPLETE_FOLDER},
    {"license", 0, BT_OPT_TEXT, "SPDX", "its license (MIT)", BT_COMPLETE_NONE},
    {"template", 0, BT_OPT_TEXT, "FOLDER", "templates of your own, instead of those that are installed", BT_COMPLETE_FOLDER},
    FORMAT, {NULL}};
static const struct bt_option drain_options[] = {
    {"timeout", 0, BT_OPT_TEXT, "TIME", "how long jobs may run on there (the server's: 10m)", BT_COMPLETE_NONE},
    {"wait", 0, BT_OPT_FLAG, NULL, "until nothing is there any more", BT_COMPLETE_NONE}, WAIT, FORMAT, {NULL}};
static const struct bt_option format_options[] = {FORMAT, {NULL}};
static const struct bt_option image_pull_options[] = {
    FORMAT, {"platform", 0, BT_OPT_TEXT, "OS/ARCH", "for another platform than the machine's", BT_COMPLETE_NONE}, {NULL}};
static const struct bt_option no_options[] = {{NULL}};
static const struct bt_option everywhere_options[] = {EVERYWHERE, {NULL}};

static const char object_help[] =
    "OBJECT is an app (shop), a service (shop/web, or web in the folder of shop's Compose file or where only one app has "
    "it) or an instance (shop-web-1-k3f9a).";

#define APPS "Apps"
#define LOOKING "Looking"
#define THINGS "Things"
#define OTHERS "Berth itself"

const struct bt_verb bt_verbs[] = {
    {"up", APPS, "", "Deploy the Compose file and watch it come up",
     "The exit code is 0 only when every instance is ready: running, and healthy where it has a health check. Ctrl-C stops "
     "watching; the server goes on.",
     up_options, 0, 0, BT_COMPLETE_NONE, .run = bt_verb_up},
    {"plan", APPS, "", "Show what \"berth up\" would change, and where it would run",
     "For each service, where there are several nodes, those that it would run on and the rule that chose them; what changes of what is "
     "reserved on each node; and what has no place, with the smallest change that would make one. Nothing is changed. The exit code is 7 where something has no place.",
     plan_options, 0, 0, BT_COMPLETE_NONE, .run = bt_verb_plan},
    {"simulate", APPS, "", "Show what more nodes would place",
     "Of what waits for a place now, and of a Compose file where -f names one: what would be placed, what would still have no place and why, and what would be "
     "reserved before and after. The real planner answers; nothing is changed. The exit code is 7 where something would still have no place.",
     simulate_options, 0, 0, BT_COMPLETE_NONE, .run = bt_verb_simulate},
    {"down", APPS, "[APP]", "Stop an app and remove its containers and networks", NULL, down_options, 0, 1, BT_COMPLETE_APP,
     .run = bt_verb_down},
    {"scale", APPS, "SERVICE=N...", "Run so many instances of a service", NULL, scale_verb_options, 0, -1, BT_COMPLETE_OBJECT,
     .run = bt_verb_scale},
    {"restart", APPS, "[OBJECT...]", "Stop and start instances", object_help, restart_options, 0, -1, BT_COMPLETE_OBJECT,
     .run = bt_verb_restart},
    {"rollback", APPS, "[APP]", "Bring an earlier revision of an app back", NULL, rollback_options, 0, 1, BT_COMPLETE_APP,
     .run = bt_verb_rollback},
    {"rollout promote", APPS, "[APP|APP/SERVICE]", "Let an update go on: to the next step of a canary, or past a pause",
     "Of a blue-green update whose routes are switched, the old instances go.", restart_options, 0, 1, BT_COMPLETE_APP, .run = bt_verb_rollout_promote},
    {"rollout pause", APPS, "[APP|APP/SERVICE]", "Hold an update where it is, until it is promoted or aborted", NULL, restart_options, 0, 1,
     BT_COMPLETE_APP, .run = bt_verb_rollout_pause},
    {"rollout abort", APPS, "[APP|APP/SERVICE]", "Go back to the revision before the update",
     "The whole app goes back, as after a failed update.", restart_options, 0, 1, BT_COMPLETE_APP, .run = bt_verb_rollout_abort},
    {"history", APPS, "[APP]", "List the revisions of an app", NULL, project_options, 0, 1, BT_COMPLETE_APP, .lists = true,
     .run = bt_verb_history},
    {"follow", APPS, "APP", "Let an app follow a repository",
     "What the branch or the tags stand at is deployed, now and whenever it moves. \"berth source ls\" shows where each app is.",
     follow_options, 1, 1, BT_COMPLETE_APP, .run = bt_verb_follow},
    {"unfollow", APPS, "APP...", "Let apps follow their repositories no longer; they run on", NULL, format_options, 1, -1, BT_COMPLETE_APP,
     .run = bt_verb_unfollow},
    {"sync", APPS, "APP", "Look at an app's repository now and deploy what is there",
     "A commit that failed is tried again, and what was changed by hand is taken back.", sync_options, 1, 1, BT_COMPLETE_APP,
     .run = bt_verb_sync},
    {"config", APPS, "[FILE...]", "Print the canonical model of Compose files", "No server is asked.", config_options, 0, -1,
     BT_COMPLETE_FILE, .local = true, .run = bt_verb_config},

    {"ls", LOOKING, "", "List apps", NULL, ls_options, 0, 0, BT_COMPLETE_NONE, .lists = true, .run = bt_verb_ls},
    {"ps", LOOKING, "[OBJECT...]", "List instances, jobs that recur, and services that scale", object_help, ps_options, 0, -1, BT_COMPLETE_OBJECT, .lists = true,
     .run = bt_verb_ps},
    {"inspect", LOOKING, "OBJECT", "Print all that is known of an object as JSON",
     "OBJECT is as in \"berth ps\", or volume/NAME, network/NAME, secret/NAME, config/NAME, node/NAME. A secret or config that "
     "came with an app is secret/APP.NAME, or secret/NAME where no other has that name; its value is never shown.",
     inspect_options, 1, 1,
     BT_COMPLETE_OBJECT, .run = bt_verb_inspect},
    {"logs", LOOKING, "[OBJECT...]", "Print what instances wrote", object_help, logs_options, 0, -1, BT_COMPLETE_OBJECT,
     .run = bt_verb_logs},
    {"exec", LOOKING, "OBJECT COMMAND [ARG...]", "Run a command in an instance",
     "Of an app or a service the first running instance is taken. The exit code is the command's.", exec_options, 2, -1,
     BT_COMPLETE_OBJECT, .raw = true, .run = bt_verb_exec},
    {"top", LOOKING, "[OBJECT...]", "Show what instances use", object_help, top_options, 0, -1, BT_COMPLETE_OBJECT,
     .run = bt_verb_top},
    {"events", LOOKING, "[APP]", "Print what happened", "What concerns nodes and plug-ins is of no namespace: --all-namespaces shows it, too.",
     events_options, 0, 1, BT_COMPLETE_APP, .run = bt_verb_events},
    {"why", LOOKING, "[OBJECT]", "Tell why an object is as it is",
     "OBJECT is as in \"berth ps\", or volume/NAME, network/NAME, route/NAME, node/NAME.", why_options, 0, 1, BT_COMPLETE_OBJECT,
     .run = bt_verb_why},

    {"autoscale ls", THINGS, "", "List the services that scale by themselves, and why they have as many instances", NULL, everywhere_options, 0, 0,
     BT_COMPLETE_NONE, .lists = true, .run = bt_verb_autoscale_ls},
    {"autoscale apply", THINGS, "SERVICE", "Put the reservations in force that a service's use recommends",
     "They are kept apart from the file: a later \"berth up\" of the same file keeps them, another number in it takes their place. The service's instances are "
     "replaced as by any change.",
     scale_options, 1, 1, BT_COMPLETE_OBJECT, .run = bt_verb_autoscale_apply},
    {"job ls", THINGS, "", "List the jobs that recur: when they run next, and how their last run ended", NULL, everywhere_options, 0, 0,
     BT_COMPLETE_NONE, .lists = true, .run = bt_verb_job_ls},
    {"job run", THINGS, "JOB", "Run a job now",
     "JOB is APP/SERVICE, or SERVICE in the folder of its Compose file. Where it has a schedule that goes on as before; its concurrency holds.",
     restart_options, 1, 1, BT_COMPLETE_OBJECT, .run = bt_verb_job_run},
    {"secret ls", THINGS, "", "List secrets; never their values", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true,
     .run = bt_verb_secret_ls},
    {"secret put", THINGS, "NAME [FILE]", "Store a secret from a file or standard input",
     "The value never stands on the command line. Services that use the secret get it by a rolling update.", format_options, 1, 2,
     BT_COMPLETE_SECRET, .run = bt_verb_secret_put},
    {"secret rm", THINGS, "NAME...", "Remove secrets", NULL, format_options, 1, -1, BT_COMPLETE_SECRET, .run = bt_verb_secret_rm},
    {"route ls", THINGS, "", "List routes: ways in for outside traffic", NULL, everywhere_options, 0, 0, BT_COMPLETE_NONE, .lists = true,
     .run = bt_verb_route_ls},
    {"volume ls", THINGS, "", "List volumes", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true, .run = bt_verb_volume_ls},
    {"volume rm", THINGS, "NAME...", "Remove volumes that no instance uses: their data is lost", NULL, format_options, 1, -1,
     BT_COMPLETE_VOLUME, .run = bt_verb_volume_rm},
    {"network ls", THINGS, "", "List networks", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true,
     .run = bt_verb_network_ls},
    {"network rm", THINGS, "NAME...", "Remove networks that no instance uses", NULL, format_options, 1, -1, BT_COMPLETE_NETWORK,
     .run = bt_verb_network_rm},
    {"image ls", THINGS, "", "List the images that the node has", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true, .run = bt_verb_image_ls},
    {"image pull", THINGS, "IMAGE", "Pull an image to the node",
     "The login is the one that the server's configuration has for the registry.", image_pull_options, 1, 1, BT_COMPLETE_NONE, .run = bt_verb_image_pull},
    {"image import", THINGS, "PATH [NAME]", "Import images from a file or folder",
     "PATH is an archive of docker save or of an OCI layout, compressed or not, or the folder of an OCI layout, on the server's machine. NAME is for its only image; without "
     "it images bear the names that the archive has.", format_options, 1, 2, BT_COMPLETE_FILE, .run = bt_verb_image_import},
    {"image load", THINGS, "[FILE]", "Import images from standard input, or FILE",
     "docker save IMAGE | berth image load. The server must be of this machine. FILE is read as berth image import reads it.", format_options, 0, 1, BT_COMPLETE_FILE, .run = bt_verb_image_load},
    {"image rm", THINGS, "IMAGE...", "Remove names of images, and images with their last name",
     "An id removes the image with all its names. What a container was made from stays.", format_options, 1, -1, BT_COMPLETE_NONE, .run = bt_verb_image_rm},
    {"image prune", THINGS, "", "Remove images that no container uses", NULL, format_options, 0, 0, BT_COMPLETE_NONE,
     .run = bt_verb_image_prune},
    {"source ls", THINGS, "", "List the repositories that apps follow, and how the apps stand to them", NULL, source_options, 0, 0,
     BT_COMPLETE_NONE, .lists = true, .run = bt_verb_source_ls},
    {"source inspect", THINGS, "APP", "Print all that is known of an app's repository as JSON", NULL, json_options, 1, 1, BT_COMPLETE_APP,
     .run = bt_verb_source_inspect},
    {"node cordon", THINGS, "NODE...", "Let nodes take no new instances; they run on", NULL, format_options, 1, -1, BT_COMPLETE_NODE,
     .run = bt_verb_node_cordon},
    {"node uncordon", THINGS, "NODE...", "Let nodes take instances again", NULL, format_options, 1, -1, BT_COMPLETE_NODE,
     .run = bt_verb_node_uncordon},
    {"node drain", THINGS, "NODE...", "Move all instances of nodes away; they take no new ones",
     "A replacement comes up first where there is room for it, else as many go at once as their services can do without (x-berth.disruption). Jobs may run on "
     "for a time. What cannot be moved stays: \"berth why node/NODE\" says why. \"berth node uncordon\" calls it off.",
     drain_options, 1, -1, BT_COMPLETE_NODE, .run = bt_verb_node_drain},
    {"node ls", THINGS, "", "List nodes", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true, .run = bt_verb_node_ls},
    {"pool ls", THINGS, "", "List pools of nodes, and what is reserved there", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true,
     .run = bt_verb_pool_ls},
    {"quota ls", THINGS, "", "List what namespaces may use, and use",
     "Of all namespaces, or of the one that --namespace names. USED is what apps were admitted with, or have now where that is more; HELD is what their "
     "instances and volumes have now.",
     no_options, 0, 0, BT_COMPLETE_NONE, .lists = true, .run = bt_verb_quota_ls},
    {"node inspect", THINGS, "NODE", "Print all that is known of a node as JSON", NULL, json_options, 1, 1, BT_COMPLETE_NODE,
     .run = bt_verb_node_inspect},

    {"doctor", OTHERS, "", "Check whether the server, its engine and its plug-ins fit together",
     "The exit code is 1 where a check failed.", no_options, 0, 0, BT_COMPLETE_NONE, .lists = true, .run = bt_verb_doctor},
    {"plugin ls", OTHERS, "", "List plug-ins", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true,
     .run = bt_verb_plugin_ls},
    {"plugin new", OTHERS, "NAME", "Make a folder for a new plug-in, which builds with one command",
     "NAME is the plug-in's id, <kind>-<product>: chat-irc. The folder holds a small plug-in that works, its test, files for CI, and in C "
     "four ways to build it. No server is asked.",
     plugin_new_options, 1, 1, BT_COMPLETE_NONE, .local = true, .run = bt_verb_plugin_new},
    {"policy ls", OTHERS, "", "List policies", NULL, no_options, 0, 0, BT_COMPLETE_NONE, .lists = true,
     .run = bt_verb_policy_ls},
    {"policy test", OTHERS, "[FOLDER]", "Run the tests beside the policies of a folder (this one)", "No server is asked.",
     format_options, 0, 1, BT_COMPLETE_FOLDER, .local = true, .run = bt_verb_policy_test},
    {"completion", OTHERS, "SHELL", "Print completions for bash, zsh or fish", NULL, no_options, 1, 1, BT_COMPLETE_NONE,
     .local = true, .run = bt_verb_completion},
    {"version", OTHERS, "", "Print the versions of this command and of the server", NULL, format_options, 0, 0,
     BT_COMPLETE_NONE, .run = bt_verb_version},
    {"help", OTHERS, "[VERB]", "Print help", NULL, no_options, 0, 2, BT_COMPLETE_NONE, .local = true, .run = bt_verb_help},
    {NULL}};
