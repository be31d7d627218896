/* "berth plugin new": a folder for a new plug-in, outside of Berth's tree, out of the installed templates. What is in the folder is
 * the templates' business alone: here are names, the words that are replaced, and files. Asks no server. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/program.h"
#include "cli/cli.h"

enum { max_id = 64, min_id = 3, max_license = 64, max_template = 256 * 1024, max_depth = 8 };

static const char id_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

struct made {
  const char *name, *interface, *language, *license, *dir;
  char *ident;          /* the name as a word of C */
  char year[8];
  struct bt_strs files; /* below dir */
  struct bt_strs texts; /* of files, in their order */
};

static void made_free(struct made *m) {
  free(m->ident);
  bt_strs_free(&m->files);
  bt_strs_free(&m->texts);
}

/* ---------------------------------------------------------------- names */

/* The nearest id to what was meant: "My Chat" of chat -> "chat-my-chat". The caller frees. */
static char *nearest_id(const char *name, const char *interface) {
  BT_AUTO_BUF b = {0};
  bt_buf_adds(&b, "");
  for (const char *p = name; *p && b.len < max_id; p++) {
    char c = (char)tolower((unsigned char)*p);
    if (!strchr(id_letters, c))
      c = '-';
    if (c != '-' || (b.len && b.data[b.len - 1] != '-'))
      bt_buf_addc(&b, c);
  }
  while (b.len && b.data[b.len - 1] == '-')
    bt_buf_truncate(&b, b.len - 1);
  if (b.len && strchr(b.data, '-'))
    return bt_buf_steal(&b);
  return bt_asprintf("%s-%.*s", interface, max_id - 16, b.len ? b.data : "product");
}

static int check_name(const char *name, const char *interface, struct bt_err **err) {
  size_t n = strlen(name);
  if (n >= min_id && n <= max_id && strspn(name, id_letters) == n && name[0] != '-' && name[n - 1] != '-' && strchr(name, '-'))
    return 0;
  BT_AUTO_FREE char *near = nearest_id(name, interface);
  BT_AUTO_BUF shown = {0};
  bt_out_clean(&shown, name);
  return bt_err_set(err, BT_INVALID,
                    "\"%.80s\" is no id of a plug-in: that is <kind>-<product> of %d to %d of a-z 0-9 -, such as \"%s\"",
                    shown.data ? shown.data : "", min_id, max_id, near);
}

/* An SPDX expression; it is put into C strings and build files, so nothing else may be in it. */
static int check_license(const char *license, struct bt_err **err) {
  size_t n = strlen(license);
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+() ";
  if (n && n <= max_license && strspn(license, letters) == n && isalnum((unsigned char)license[0]))
    return 0;
  return bt_err_set(err, BT_INVALID, "the license is no SPDX expression: it is one such as MIT, Apache-2.0 or GPL-3.0-or-later");
}

/* ---------------------------------------------------------------- templates */

/* Where the templates are: named; beside this program, wherever it was put; or where it was to be installed. The caller frees. */
static char *template_dir(const char *named) {
  if (named)
    return bt_strdup(named);
  char *beside = bt_program_beside("../share/berth/template");
  if (beside)
    return beside;
  return bt_strdup(BERTH_DATADIR "/template");
}

/* Copies text with the template's words replaced. */
static void add_replaced(struct bt_buf *b, const struct made *m, const char *text) {
  const struct {
    const char *word, *value;
  } words[] = {{"@NAME@", m->name},       {"@IDENT@", m->ident}, {"@INTERFACE@", m->interface},
               {"@LICENSE@", m->license}, {"@YEAR@", m->year},   {"@BERTH_VERSION@", PACKAGE_VERSION}};
  while (*text) {
    size_t n = strcspn(text, "@"), i = 0;
    bt_buf_add(b, text, n);
    text += n;
    while (i < BT_COUNT(words) && !bt_starts(text, words[i].word))
      i++;
    if (i < BT_COUNT(words)) {
      bt_buf_adds(b, words[i].value);
      text += strlen(words[i].word);
    } else if (*text) {
      bt_buf_addc(b, *text++);
    }
  }
}

/* The name of a template's file or folder in the new folder: "dot-x" is ".x", "NAME" the plug-in's. The caller frees. */
static char *file_name(const struct made *m, const char *name) {
  BT_AUTO_BUF b = {0};
  if (bt_starts(name, "dot-")) {
    bt_buf_addc(&b, '.');
    name += 4;
  }
  for (const char *at; (at = strstr(name, "NAME")); name = at + 4) {
    bt_buf_add(&b, name, (size_t)(at - name));
    bt_buf_adds(&b, m->name);
  }
  bt_buf_adds(&b, name);
  return bt_buf_steal(&b);
}

static int add_file(struct made *m, const char *path, const char *as, struct bt_err **err) {
  BT_AUTO_FREE char *text = NULL;
  BT_AUTO_BUF replaced = {0};
  size_t len;
  if (bt_file_read(path, max_template, &text, &len, err))
    return bt_err_wrap(err, "template");
  add_replaced(&replaced, m, text);
  bt_strs_add(&m->files, as);
  bt_strs_add(&m->texts, replaced.data ? replaced.data : "");
  return 0;
}

static int no_dots(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* Reads all files of the folder "from" and of those in it; "as" is their place in the new folder. */
static int add_folder(struct made *m, const char *from, const char *as, int depth, struct bt_err **err) {
  struct dirent **entries = NULL;
  int n = depth < max_depth ? scandir(from, &entries, no_dots, alphasort) : (errno = ELOOP, -1);
  if (n < 0)
    return bt_err_errno(err, errno == ENOENT ? BT_NOT_FOUND : BT_IO, errno, "cannot read the templates in %s", from);
  int rc = 0;
  for (int i = 0; i < n; i++) {
    BT_AUTO_FREE char *path = bt_path_join(from, entries[i]->d_name), *name = file_name(m, entries[i]->d_name);
    BT_AUTO_FREE char *there = *as ? bt_path_join(as, name) : bt_strdup(name);
    struct stat st;
    free(entries[i]);
    if (rc || stat(path, &st))
      continue;
    rc = S_ISDIR(st.st_mode) ? add_folder(m, path, there, depth + 1, err) : add_file(m, path, there, err);
  }
  free(entries);
  return rc;
}

/* The text of the license, or where it is to be found. */
static int add_license(struct made *m, const char *templates, struct bt_err **err) {
  BT_AUTO_FREE char *file = bt_asprintf("%s/licenses/%s", templates, m->license);
  BT_AUTO_FREE char *other = bt_path_join(templates, "licenses/other");
  return add_file(m, bt_file_exists(file) ? file : other, "LICENSE", err);
}

/* Those in C stand right there, those in another language in a folder of its name. */
static char *language_dir(const char *templates, const char *language) {
  return bt_streq(language, "c") ? bt_strdup(templates) : bt_path_join(templates, language);
}

/* Reads all before anything is written, so that a folder is made whole or not at all. */
static int read_templates(struct made *m, const char *templates, struct bt_err **err) {
  BT_AUTO_FREE char *folder = language_dir(templates, m->language);
  BT_AUTO_FREE char *all = bt_path_join(folder, "all"), *own = bt_path_join(folder, m->interface);
  if (!bt_file_exists(all))
    return bt_err_set(err, BT_NOT_FOUND, "there are no templates in %s: \"make install\" puts them there, --template names another folder",
                      folder);
  if (!bt_file_exists(own))
    return bt_err_set(err, BT_UNSUPPORTED, "there is no template for %s in %s", m->interface, folder);
  return add_folder(m, all, "", 0, err) || add_folder(m, own, "", 0, err) || add_license(m, templates, err) ? -1 : 0;
}

/* ---------------------------------------------------------------- writing */

static int check_empty(const char *dir, struct bt_err **err) {
  struct dirent **entries = NULL;
  int n = scandir(dir, &entries, NULL, alphasort);
  if (n < 0 && errno == ENOENT)
    return 0;
  if (n < 0)
    return bt_err_errno(err, errno == ENOTDIR ? BT_CONFLICT : BT_IO, errno, "cannot make the plug-in in %s", dir);
  for (int i = 0; i < n; i++)
    free(entries[i]);
  free(entries);
  return n <= 2 ? 0
               : bt_err_set(err, BT_CONFLICT, "the folder %s is not empty: name another one with --dir, or move what is in it", dir);
}

static int write_all(const struct made *m, struct bt_err **err) {
  for (size_t i = 0; i < m->files.len; i++) {
    BT_AUTO_FREE char *path = bt_path_join(m->dir, m->files.items[i]), *folder = bt_path_dir(path);
    if (bt_mkdirs(folder, 0755, err) || bt_file_write(path, m->texts.items[i], strlen(m->texts.items[i]), 0644, err))
      return -1;
  }
  return 0;
}

static void print_made(struct bt_cli *cli, const struct made *m) {
  if (cli->json) {
    BT_AUTO_JSON result = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[]}", "name", m->name, "interface", m->interface, "language",
                                    m->language, "license", m->license, "dir", m->dir, "files");
    bt_vec_each(&m->files, file) json_array_append_new(bt_json_arr(result, "files"), json_string(*file));
    bt_out_json(result);
    return;
  }
  bt_vec_each(&m->files, file) bt_cli_say("%s/%s\n", m->dir, *file);
  bt_cli_note("\"make check\" in %s %stests it; its README.md tells what is where", m->dir, bt_streq(m->language, "c") ? "builds and " : "");
}

int bt_verb_plugin_new(struct bt_cli *cli, struct bt_err **err) {
  const char *dir = bt_args_text(&cli->args, "dir"), *license = bt_args_text(&cli->args, "license");
  const char *language = bt_args_text(&cli->args, "language");
  __attribute__((cleanup(made_free))) struct made m = {.name = cli->args.rest.items[0],
                                                      .interface = bt_args_text(&cli->args, "interface"),
                                                      .language = language ? language : "c",
                                                      .license = license ? license : "MIT"};
  if (!m.interface)
    return bt_err_set(err, BT_INVALID, "which interface shall it have? Say --interface chat, or one of those in \"berth plugin new --help\"");
  if (check_name(m.name, m.interface, err) || check_license(m.license, err))
    return -1;
  m.dir = dir ? dir : m.name;
  m.ident = bt_strdup(m.name);
  for (char *p = m.ident; *p; p++)
    *p = *p == '-' ? '_' : *p;
  time_t now = time(NULL);
  struct tm tm;
  strftime(m.year, sizeof m.year, "%Y", gmtime_r(&now, &tm));
  BT_AUTO_FREE char *templates = template_dir(bt_args_text(&cli->args, "template"));
  if (read_templates(&m, templates, err) || check_empty(m.dir, err) || write_all(&m, err))
    return -1;
  print_made(cli, &m);
  return 0;
}
