/* "berth config": the canonical model of Compose files as JSON, in the shape of "docker compose config --format json". Asks no
 * server. */
#include "config.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/map.h"
#include "cli/cli.h"
#include "cli/project.h"

/* Names of a part of the model ("services", "volumes", …), one a line. */
static void print_names(const json_t *model, const char *part) {
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(model, part), name, value) bt_cli_say("%s\n", name);
}

static void print_images(const json_t *model) {
  const char *name;
  json_t *service;
  json_object_foreach(json_object_get(model, "services"), name, service) {
    const char *image = bt_json_str(service, "image");
    if (image)
      bt_cli_say("%s\n", image);
    else
      bt_cli_say("%s-%s\n", bt_json_str_or(model, "name", ""), name); /* what its build will be tagged */
  }
}

/* Equal hash, equal service: SHA-256 of its canonical JSON. */
static int print_hashes(const json_t *model, const char *which, struct bt_err **err) {
  const char *name;
  json_t *service;
  bool all = strcmp(which, "*") == 0;
  if (!all && !json_object_get(json_object_get(model, "services"), which))
    return bt_err_set(err, BT_NOT_FOUND, "the file has no service \"%s\"", which);
  json_object_foreach(json_object_get(model, "services"), name, service) {
    if (!all && strcmp(name, which))
      continue;
    BT_AUTO_FREE char *text = bt_json_canonical(service);
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof digest + 1];
    crypto_hash_sha256(digest, (const unsigned char *)text, strlen(text));
    bt_cli_say("%s %s\n", name, sodium_bin2hex(hex, sizeof hex, digest, sizeof digest));
  }
  return 0;
}

static int print_part(const struct bt_args *args, const json_t *model, struct bt_err **err) {
  static const char *const parts[] = {"services", "volumes", "networks", "secrets", "configs"};
  for (size_t i = 0; i < BT_COUNT(parts); i++)
    if (bt_args_has(args, parts[i])) {
      print_names(model, parts[i]);
      return 0;
    }
  if (bt_args_has(args, "images")) {
    print_images(model);
    return 0;
  }
  if (bt_args_has(args, "hash"))
    return print_hashes(model, bt_args_text(args, "hash"), err);
  bt_out_json(model);
  return 0;
}

/* The names of all profiles that services have. */
static void print_profiles(const json_t *model) {
  BT_AUTO_MAP seen = bt_map_new(NULL);
  const char *name;
  json_t *service, *profile;
  size_t i;
  json_object_foreach(json_object_get(model, "services"), name, service)
      json_array_foreach(bt_json_arr(service, "profiles"), i, profile) {
    const char *text = json_string_value(profile);
    if (text && !bt_map_get(seen, text))
      bt_cli_say("%s\n", text);
    bt_map_set(seen, text ? text : "", seen);
  }
}

static int load_and_print(struct bt_cli *cli, struct bt_project *project, struct bt_err **err) {
  int rc = bt_project_load(project);
  BT_AUTO_FREE char *text = bt_diags_text(&project->result.diags);
  bt_cli_tell(text);
  if (rc)
    return bt_code_exit(BT_INVALID); /* the diagnostics have said it */
  if (cli->quiet)
    return 0;
  if (bt_args_has(&cli->args, "profiles")) {
    print_profiles(project->result.model);
    return 0;
  }
  return print_part(&cli->args, project->result.model, err);
}

int bt_verb_config(struct bt_cli *cli, struct bt_err **err) {
  struct bt_project project = {0};
  /* Files may also stand as arguments: "berth config compose.yaml more.yaml". */
  static const struct bt_option file = {"file", 'f', BT_OPT_LIST, "FILE", "", BT_COMPLETE_FILE};
  bt_vec_each(&cli->args.rest, path) {
    struct bt_arg arg = {.option = &file, .value = bt_strdup(*path)};
    bt_vec_push(&cli->args.given, arg);
  }
  project.options.skip_berth_checks = !bt_args_has(&cli->args, "check");
  project.options.keep_inactive = bt_args_has(&cli->args, "profiles");
  int rc = bt_project_options(&cli->args, &project, err);
  if (rc == 0)
    rc = load_and_print(cli, &project, err);
  bt_project_free(&project);
  return rc;
}
