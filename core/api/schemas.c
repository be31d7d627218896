/* The shapes of what the API takes and gives, for the OpenAPI document: one row a member. Answers may have more members than are
 * listed (additionalProperties), requests may not. */
#include "config.h"

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"

/* type: a JSON type, "time", "any", "Name" or "[Name]" of another schema, "{}" a map; "?" behind it: may be null; "!" in front: has
 * to be there. */
struct member {
  const char *schema, *name, *type, *doc;
};

static const struct member members[] = {
    {"Version", "version", "!string", "Berth's version"},
    {"Version", "api", "!string", "v1"},
    {"Version", "server_id", "!string", "Names this server; containers carry it as a label"},
    {"Health", "status", "!string", "ok, or read-only where the store takes no changes (503)"},
    {"Server", "version", "!string", "Berth's version"},
    {"Server", "uptime_ms", "!integer", "Milliseconds since the start"},
    {"Server", "connections", "integer", "Open connections of the API"},
    {"Server", "rss_bytes", "integer", "Bytes of memory in use"},
    {"Server", "loop", "object", "The event loop: longest callback by the wall clock (worst_*), without the wait for a processor (own_*); stalls"},
    {"Server", "store", "object", "Commits, syncs, health of the state store"},
    {"Server", "warnings", "array", "What the operator should know, such as a full disk"},
    {"Check", "element", "!string", "What was looked at"},
    {"Check", "declared", "string?", "What is declared or wished of it"},
    {"Check", "found", "string?", "What was found"},
    {"Check", "verdict", "!string", "ok, warning, error or unknown"},
    {"Check", "mend", "string?", "What to do about it"},
    {"Plugin", "name", "!string", "Entry of the configuration"},
    {"Plugin", "plugin", "!string", "Plug-in"},
    {"Plugin", "version", "string?", "Its version"},
    {"Plugin", "status", "!string", "starting, ok, failed, restarting (its process crashed) or broken (it crashed five times in a row)"},
    {"Plugin", "isolation", "string", "process: it runs in a process of its own; none: inside of berthd"},
    {"Plugin", "pid", "integer", "Of its process; 0 where it has none"},
    {"Plugin", "confined", "array", "What holds its process, as the kernel has it: user, limits, filter of system calls"},
    {"Plugin", "unconfined", "array", "What does not: user, memory, memory-watch, files, processes, privileges, seccomp, sockets, everything"},
    {"Plugin", "restarts", "integer", "How often it was started again after a crash"},
    {"Plugin", "last_failure", "string?", "Why its process ended last"},
    {"Plugin", "error", "string?", "Why it failed"},
    {"Plugin", "interfaces", "array", "Interfaces that it implements"},
    {"Policy", "name", "!string", "Policy"},
    {"Policy", "file", "!string", "Its file"},
    {"Policy", "status", "!string", "ok or broken"},
    {"Policy", "error", "string?", "What is broken, with its line"},
    {"PolicyTest", "file", "string", "Test file"},
    {"PolicyTest", "name", "!string", "Test"},
    {"PolicyTest", "ok", "!boolean", "Passed"},
    {"PolicyTest", "message", "string?", "Why not"},
    {"Policy", "hooks", "array", "Hooks that it has"},
    {"Namespace", "namespace", "!string", "Namespace"},
    {"Node", "node", "!string", "Node"},
    {"Node", "status", "!string", "ready, cordoned, draining, drained, unavailable, disconnected or lost"},
    {"Node", "cordoned", "boolean", "It takes no new instances; it runs on"},
    {"Node", "drain", "object", "Of a node that is drained: state (draining, drained), actor, since, until (of jobs), left (instances), stays ([{instance, reason, lasting}])"},
    {"Node", "lost_at", "time", "When it was given up"},
    {"Node", "message", "string?", "Why it is not ready"},
    {"Node", "pool", "!string", "The pool that it is of; \"default\" where it is in none of berthd.yaml"},
    {"Node", "cpus", "number", "Processors"},
    {"Node", "memory", "integer", "Bytes"},
    {"Node", "labels", "{}", "Labels"},
    {"Node", "disk", "integer", "Bytes of the disk that images and containers lie on"},
    {"Node", "pids", "integer", "Processes that the machine may have"},
    {"Node", "devices", "array", "Devices by its configuration: kind, driver, model, capabilities, ids"},
    {"Node", "resources", "any", "Resources of the operator's kinds: numbers by name"},
    {"Node", "room", "any", "By name (\"disk\", \"pids\", \"device gpu\", \"resource x\"): {\"of\", \"used\"}; of is null where it is not known"},
    {"Quota", "namespace", "!string", "Namespace"},
    {"Quota", "parent", "string?", "The namespace that it is within"},
    {"Quota", "quota", "!object", "Its limits: cpus, memory (bytes), instances, volumes, devices, routes; what is absent has none"},
    {"Quota", "used", "!object", "What its apps and those of namespaces within it were admitted with, or have now where that is more"},
    {"Quota", "held", "object", "What their instances and volumes have now"},
    {"Quota", "over", "array", "Limits that are passed, since they were lowered"},
    {"Quota", "waiting", "integer", "Apps of which instances wait for one of its limits"},
    {"Quota", "defaults", "object", "What an instance reserves whose service says nothing"},
    {"Quota", "range", "object", "How small and how large an instance may be: [least, most]"},
    {"Quota", "weight", "integer", "Its share where there is not enough for all"},
    {"Quota", "priority", "integer", "Of its services that say none"},
    {"Pool", "pool", "!string", "Pool; \"default\" has the nodes that are in no other"},
    {"Pool", "nodes", "!integer", "Nodes that are of it"},
    {"Pool", "open", "integer", "Of those: that take new instances"},
    {"Pool", "cpus", "number", "Processors of all of them"},
    {"Pool", "cpus_allocatable", "number", "What may be reserved: after the reserve, times the overcommit"},
    {"Pool", "cpus_reserved", "number", "What is reserved"},
    {"Pool", "memory", "integer", "Bytes of all of them"},
    {"Pool", "memory_allocatable", "integer", "What may be reserved"},
    {"Pool", "memory_reserved", "integer", "What is reserved"},
    {"Pool", "match", "array", "Rules by which nodes are of it"},
    {"Pool", "taints", "array", "What keeps services away: key, value, effect"},
    {"Pool", "namespaces", "array", "Only these may run there; all where absent"},
    {"Pool", "reserve", "object", "Kept back on each node: cpus, memory"},
    {"Pool", "overcommit", "object", "Times what is left: cpus, memory"},
    {"Cordon", "node", "!string", "Node"},
    {"Cordon", "cordoned", "boolean", "It takes no new instances"},
    {"Cordon", "left", "integer", "Of a drain: instances that are there"},
    {"DrainRequest", "timeout", "string", "How long jobs may run on there; 10m by default"},
    {"Cordon", "changed", "boolean", "False: it was so already"},
    {"App", "namespace", "!string", "Namespace"},
    {"App", "app", "!string", "App"},
    {"App", "state", "!string", "deploying, running, degraded, failed, rolling-back or removing"},
    {"App", "message", "string?", "Why"},
    {"App", "revision", "!integer", "Latest revision"},
    {"App", "target", "integer", "Revision that is rolled out"},
    {"App", "stable", "integer", "Last revision that stood whole; 0: none"},
    {"App", "created_at", "time?", "First apply"},
    {"App", "updated_at", "time?", "Last change"},
    {"App", "services", "any", "Its services and how their rollouts stand"},
    {"Revision", "namespace", "!string", "Namespace"},
    {"Revision", "app", "!string", "App"},
    {"Revision", "revision", "!integer", "Number, from 1"},
    {"Revision", "state", "!string", "resolving, rolling-out, deployed, failed or superseded"},
    {"Revision", "reason", "string?", "Why it failed"},
    {"Revision", "actor", "string?", "Who made it"},
    {"Revision", "message", "string?", "What its maker said"},
    {"Revision", "cause", "string", "source, update, secret or rollback where Berth made it by itself"},
    {"Revision", "origin", "any", "Repository, commit, author and file that it comes from"},
    {"Revision", "rollback_of", "integer", "Revision that it brings back"},
    {"Revision", "created_at", "time?", "When"},
    {"Revision", "services", "{}", "Images as they were pinned"},
    {"Revision", "model", "any", "Canonical Compose model (one revision only, not in lists)"},
    {"Service", "namespace", "!string", "Namespace"},
    {"Service", "app", "!string", "App"},
    {"Service", "service", "!string", "Service"},
    {"Service", "state", "!string", "How its rollout or its instances stand"},
    {"Service", "replicas", "integer", "Wanted instances"},
    {"Service", "ready", "integer", "Ready instances"},
    {"Service", "revision", "integer", "Revision that it is at"},
    {"Service", "rollout", "object", "State of its rollout"},
    {"Service", "autoscale", "object", "Of a service that scales by itself: its bounds, its metrics, and why it has as many instances as it has"},
    {"Service", "job", "object", "Of a job that recurs: schedule, next_run, last_run, runs and what it waits for"},
    {"JobRun", "app", "!string", "App"},
    {"JobRun", "service", "!string", "Service"},
    {"JobRun", "run", "integer", "Number of the run, of a job that recurs"},
    {"Instance", "instance", "!string", "Id, unique for ever"},
    {"Instance", "namespace", "!string", "Namespace"},
    {"Instance", "app", "!string", "App"},
    {"Instance", "service", "!string", "Service"},
    {"Instance", "slot", "integer", "Number within its service, from 1"},
    {"Instance", "revision", "integer", "Revision that it was made of"},
    {"Instance", "node", "string?", "Node"},
    {"Instance", "state", "!string", "pending, pulling, creating, starting, running, stopping, exited or failed"},
    {"Instance", "health", "string", "empty, starting, healthy or unhealthy"},
    {"Instance", "ready", "boolean", "Takes traffic"},
    {"Instance", "image", "string", "As the Compose file has it"},
    {"Instance", "digest", "string?", "What really runs"},
    {"Instance", "ports", "array", "Published ports"},
    {"Instance", "published", "array", "Ports of ranges that the server chose: target, range, published, host_ip, protocol"},
    {"Instance", "devices", "array", "Devices that it was given: kind, driver, capabilities, device_ids, options"},
    {"Instance", "restarts", "integer", "Restarts"},
    {"Instance", "run", "integer", "Run of a job that recurs, from 1"},
    {"Instance", "error", "string?", "What went wrong last"},
    {"Instance", "container_id", "string?", "Of the engine"},
    {"Instance", "origin", "any", "Repository, commit, author, file and line that it comes from"},
    {"Instance", "started_at", "time?", "Start of its container"},
    {"Stats", "instance", "string", "Instance"},
    {"Stats", "cpu_ns", "integer", "Processor time since its start, nanoseconds"},
    {"Stats", "memory", "integer", "Bytes in use without page cache"},
    {"Stats", "memory_limit", "integer", "Bytes; 0: none"},
    {"Stats", "rx_bytes", "integer", "Received"},
    {"Stats", "tx_bytes", "integer", "Sent"},
    {"Stats", "pids", "integer", "Processes"},
    {"Stats", "time_ms", "integer", "When"},
    {"Source", "namespace", "!string", "Namespace"},
    {"Source", "app", "!string", "App that follows"},
    {"Source", "repository", "!string", "Address of the repository"},
    {"Source", "branch", "string", "Branch; absent where tags are followed"},
    {"Source", "tag", "string", "Pattern of tags; absent where a branch is followed"},
    {"Source", "path", "string", "Folder of the Compose files"},
    {"Source", "interval_ms", "integer", "Milliseconds between two looks"},
    {"Source", "automatic", "boolean", "What is found is deployed"},
    {"Source", "correct", "boolean", "Changes by hand are taken back"},
    {"Source", "state", "!string", "new, syncing, in-sync, behind, drifted or failed"},
    {"Source", "commit", "string", "Commit that was found last"},
    {"Source", "applied", "string?", "Commit that the app is at"},
    {"Source", "refused", "string?", "Commit that failed and is not tried again by itself"},
    {"Source", "revision", "integer", "Revision of the app that stands for the applied commit"},
    {"Source", "app_revision", "integer", "Latest revision of the app: another one means drift"},
    {"Source", "found", "any", "The commit found last: commit, ref, author, email, time, subject, signature"},
    {"Source", "error", "string?", "Why the last look failed, or the refused commit"},
    {"Source", "looked_at", "time?", "Last look"},
    {"Source", "synced_at", "time?", "Last commit applied"},
    {"SyncResult", "commit", "string", "Commit that was found"},
    {"SyncResult", "applied", "boolean", "It was applied"},
    {"SyncResult", "revision", "integer", "Revision of the app"},
    {"SyncResult", "changed", "boolean", "False: the app was so already"},
    {"SyncResult", "plan", "array", "As of ApplyResult"},
    {"Volume", "namespace", "!string", "Namespace"},
    {"Volume", "name", "!string", "Name on the engine"},
    {"Volume", "app", "string?", "App"},
    {"Volume", "state", "string", "present or removing"},
    {"Volume", "driver", "string", "Driver"},
    {"Volume", "node", "string?", "Node that its data is on, where it is on one: instances that use it go there"},
    {"Volume", "used_by", "array", "Instances that use it"},
    {"Network", "namespace", "!string", "Namespace"},
    {"Network", "name", "!string", "Name on the engine"},
    {"Network", "app", "string?", "App"},
    {"Network", "state", "string", "present or removing"},
    {"Network", "stuck", "boolean", "The engine has not removed it for 10 s; left out where not"},
    {"Network", "error", "string?", "Why its removal failed"},
    {"Network", "driver", "string", "Driver"},
    {"Network", "used_by", "array", "Instances that use it"},
    {"Secret", "namespace", "!string", "Namespace"},
    {"Secret", "name", "!string", "Name"},
    {"Secret", "app", "string", "App, where it came with one"},
    {"Secret", "fingerprint", "string", "Equal for equal contents of one name"},
    {"Secret", "size", "integer", "Bytes"},
    {"Secret", "updated_at", "time?", "Last change"},
    {"Secret", "used_by", "array", "Services that use it, as app/service (one secret only, not in lists)"},
    {"Config", "namespace", "!string", "Namespace"},
    {"Config", "name", "!string", "Name"},
    {"Config", "app", "string", "App"},
    {"Config", "fingerprint", "string", "Of its content"},
    {"Config", "size", "integer", "Bytes"},
    {"Config", "used_by", "array", "Services that use it, as app/service (one config only, not in lists)"},
    {"Route", "route", "!string", "First host and path, or tcp/PORT"},
    {"Route", "namespace", "!string", "Namespace"},
    {"Route", "app", "!string", "App; of several that share it the first"},
    {"Route", "service", "!string", "Service; of several that share it the first"},
    {"Route", "services", "array", "All that share it: app, service, port, weight, ready, endpoints"},
    {"Route", "url", "string", "As one would open it"},
    {"Route", "protocol", "string", "http or tcp"},
    {"Route", "hosts", "array", "Hosts; absent: any"},
    {"Route", "paths", "array", "Prefixes of paths; absent for tcp"},
    {"Route", "listen", "integer", "tcp: the port of the machine"},
    {"Route", "port", "integer", "Port inside the container"},
    {"Route", "tls", "string?", "Secret of the certificate; null: plain"},
    {"Route", "state", "string", "serving, no-endpoint, maintenance, refused, unserved"},
    {"Route", "message", "string?", "Why, in words"},
    {"Route", "ready", "integer", "Instances that get requests"},
    {"Route", "endpoints", "integer", "All instances"},
    {"Route", "requests", "integer?", "Requests, or connections of tcp; null: nobody counts"},
    {"Route", "errors", "integer?", "Answers of 500 and above, and what no instance answered"},
    {"Route", "denied", "integer?", "Refused by its rate limit"},
    {"Route", "rate", "integer?", "Requests of the last second"},
    {"Route", "open", "integer?", "Requests or connections that are open now"},
    {"Route", "bytes_in", "integer?", "Bytes from clients"},
    {"Route", "bytes_out", "integer?", "Bytes to clients"},
    {"Route", "instances", "array", "By instance: endpoint, requests, errors, open"},
    {"Why", "object", "!string", "What was asked about"},
    {"Why", "kind", "!string", "Its kind"},
    {"Why", "summary", "!string", "A sentence"},
    {"Why", "reasons", "array", "Reasons, the nearest first: text, since, code"},
    {"Why", "next", "any", "What to try"},
    {"Event", "revision", "integer", "Grows; resume with it"},
    {"Event", "id", "integer", "Number, from 1"},
    {"Event", "time", "time?", "When"},
    {"Event", "type", "!string", "Such as app.running"},
    {"Event", "severity", "!string", "info, warning or error"},
    {"Event", "namespace", "string?", "Namespace"},
    {"Event", "app", "string?", "App"},
    {"Event", "subject", "string?", "Object"},
    {"Event", "message", "!string", "A sentence"},
    {"Event", "data", "any", "More, by type"},
    {"ApplyResult", "app", "!string", "App"},
    {"ApplyResult", "revision", "!integer", "Its revision after the change"},
    {"ApplyResult", "changed", "boolean", "False: nothing was to be done"},
    {"ApplyResult", "plan", "array", "Actions: action, kind, name, reason, changes, instances"},
    {"ApplyResult", "warnings", "array", "Of policies and of the plan"},
    {"ApplyResult", "forecast", "object?", "Of a dry run: services (instances, unplaced, rule, nodes, reason, mend), nodes (reserved before and after) and quota (namespace, resource, limit, before, after)"},
    {"ApplyResult", "defaults", "array", "What the namespace's defaults filled in: service, namespace, path, value"},
    {"ApplyResult", "diagnostics", "[Diagnostic]", "Of the Compose files"},
    {"ConfigResult", "name", "!string", "Project"},
    {"ConfigResult", "model", "!object", "Canonical Compose model"},
    {"ConfigResult", "diagnostics", "[Diagnostic]", "Warnings"},
    {"Diagnostic", "severity", "!string", "error or warning"},
    {"Diagnostic", "file", "string?", "File"},
    {"Diagnostic", "line", "integer", "From 1; 0: unknown"},
    {"Diagnostic", "column", "integer", "From 1; 0: unknown"},
    {"Diagnostic", "message", "!string", "What is wrong, and the mend"},
    {"Problem", "type", "!string", "about:blank"},
    {"Problem", "title", "!string", "The status in words"},
    {"Problem", "status", "!integer", "HTTP status"},
    {"Problem", "detail", "!string", "What is wrong, and the mend"},
    {"Problem", "code", "!string", "Stable name of the error"},
    {"Problem", "diagnostics", "[Diagnostic]", "Of Compose files"},
};

/* Requests: no other member is taken. */
static const struct member requests[] = {
    {"SecretPut", "data", "!string", "Content in base64"},
    {"SourcePut", "repository", "!string", "https://, ssh://, file:// URL or user@host:path; without a password"},
    {"SourcePut", "branch", "string", "Branch (main)"},
    {"SourcePut", "tag", "string", "In place of branch: a pattern of tags, such as v1.*"},
    {"SourcePut", "path", "string", "Folder of the Compose files; empty: the root"},
    {"SourcePut", "files", "array", "Compose files in it; empty: compose.yaml and its relatives"},
    {"SourcePut", "env", "{}", "Variables for interpolation"},
    {"SourcePut", "profiles", "array", "Active profiles"},
    {"SourcePut", "interval", "string", "Between two looks, such as 1m; from 10s to 24h"},
    {"SourcePut", "automatic", "boolean", "Deploy what is found (true), else only on request"},
    {"SourcePut", "correct", "boolean", "Take changes by hand back (false)"},
    {"SourcePut", "webhook", "boolean", "Look at once when the host tells of a push (true)"},
    {"SourcePut", "report", "boolean", "Tell the host what became of a commit (true)"},
    {"SourcePut", "signers", "string?", "Public keys, one of which has to have signed each commit"},
    {"SourcePut", "signers_secret", "string?", "In place of signers: a secret of the namespace that holds them"},
    {"SourcePut", "compat", "string", "refuse (as usual) or warn"},
    {"Rollback", "to", "integer?", "Revision; absent: the one before"},
    {"Rollback", "message", "string", "Why"},
    {"Scale", "services", "!{}", "Replicas by service"},
    {"Rollout", "action", "!string", "pause, promote or abort"},
    {"Rollout", "service", "string?", "One of the app's; absent: all that are being updated"},
    {"Restart", "services", "any", "Names of services; absent: all"},
    {"ApplyDocument", "bundle", "Bundle", "Files and environment"},
    {"ApplyDocument", "compose", "string", "In place of bundle: the text of one file"},
    {"ApplyDocument", "env", "{}", "With compose: variables for interpolation"},
    {"ApplyDocument", "compat", "string", "refuse (as usual) or warn: attributes that Berth cannot do"},
    {"ApplyDocument", "build", "string", "missing (as usual), always or never"},
    {"ApplyDocument", "recreate", "boolean", "Make all containers anew"},
    {"ApplyDocument", "message", "string", "Why"},
    {"ApplyDocument", "scale", "{}", "Replicas by service"},
    {"Bundle", "files", "!{}", "Absolute path: text, or {\"base64\"}"},
    {"Bundle", "compose_files", "!array", "Paths of -f, in order"},
    {"Bundle", "env_files", "array", "Paths of --env-file"},
    {"Bundle", "env", "{}", "Variables for interpolation"},
    {"Bundle", "profiles", "array", "Active profiles"},
    {"Bundle", "project_dir", "string", "What relative paths begin at"},
    {"Bundle", "project_name", "string", "Name of the app"},
};

static json_t *ref(const char *name, size_t len) {
  BT_AUTO_FREE char *text = bt_asprintf("#/components/schemas/%.*s", (int)len, name);
  return json_pack("{s:s}", "$ref", text);
}

static json_t *type_json(const char *type) {
  size_t len = strcspn(type, "?");
  bool null = type[len] == '?';
  BT_AUTO_FREE char *bare = bt_strndup(type, len);
  if (bt_streq(bare, "any"))
    return json_object();
  if (*bare == '[')
    return json_pack("{s:s, s:o}", "type", "array", "items", ref(bare + 1, len - 2));
  if (*bare >= 'A' && *bare <= 'Z')
    return ref(bare, len);
  const char *format = bt_streq(bare, "time") ? "date-time" : NULL;
  const char *name = format ? "string" : bt_streq(bare, "{}") ? "object" : bare;
  json_t *o = json_object();
  if (null)
    bt_json_set(o, "type", json_pack("[s, s]", name, "null"));
  else
    bt_json_set_str(o, "type", name);
  bt_json_set_str(o, "format", format);
  return o;
}

static void add(json_t *schemas, const struct member *m, bool closed) {
  json_t *schema = bt_json_obj(schemas, m->schema);
  if (!schema) {
    schema = json_pack("{s:s, s:{}}", "type", "object", "properties");
    if (closed)
      bt_json_set_bool(schema, "additionalProperties", false);
    bt_json_set(schemas, m->schema, schema);
  }
  bool required = *m->type == '!';
  json_t *property = type_json(m->type + required);
  bt_json_set_str(property, "description", m->doc);
  bt_json_set(bt_json_obj(schema, "properties"), m->name, property);
  if (!required)
    return;
  if (!bt_json_arr(schema, "required"))
    bt_json_set(schema, "required", json_array());
  json_array_append_new(bt_json_arr(schema, "required"), json_string(m->name));
}

json_t *bt_schemas_json(void) {
  json_t *schemas = json_object();
  for (size_t i = 0; i < BT_COUNT(members); i++)
    add(schemas, &members[i], false);
  for (size_t i = 0; i < BT_COUNT(requests); i++)
    add(schemas, &requests[i], true);
  bt_json_set(schemas, "Any", json_pack("{s:s}", "type", "object"));
  return schemas;
}
