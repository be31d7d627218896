/* Images by hand, and a registry in threads that serves or lies about them, for the tests of berth-image. Everything lies in one folder below
 * /tmp; nothing but loopback is spoken to. */
#ifndef BERTH_TESTS_OCI_IMAGE_H
#define BERTH_TESTS_OCI_IMAGE_H

#include <archive.h>
#include <archive_entry.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/image/manifest.h"

#define KIT __attribute__((unused)) static

static char kit_dir[] = "/tmp/berth-image-XXXXXX";
static char kit_program[4096]; /* berth-image of this build */

/* ---------------------------------------------------------------- blobs */

struct blob {
  char digest[72];
  char *data;
  size_t len;
};
static struct blob blobs[512];
static size_t nblobs;

/* Copies; the digest lives as long as the test. */
KIT const struct blob *blob_add(const void *data, size_t len) {
  struct blob *b = &blobs[nblobs++];
  b->data = malloc(len + 1);
  memcpy(b->data, data, len);
  b->len = len;
  ri_digest_of(data, len, b->digest);
  return b;
}

KIT const struct blob *blob_of(const char *digest) {
  for (size_t i = 0; i < nblobs; i++)
    if (!strcmp(blobs[i].digest, digest))
      return &blobs[i];
  return NULL;
}

/* ---------------------------------------------------------------- archives */

struct ball {
  struct archive *a;
  struct pu_buf out;
};

static la_ssize_t ball_write(struct archive *a, void *arg, const void *data, size_t n) {
  (void)a;
  pu_buf_add(arg, data, n);
  return (la_ssize_t)n;
}

KIT struct ball *ball_new(void) {
  struct ball *b = calloc(1, sizeof *b);
  b->a = archive_write_new();
  archive_write_set_format_pax_restricted(b->a);
  archive_write_set_bytes_in_last_block(b->a, 1);
  archive_write_open(b->a, &b->out, NULL, ball_write, NULL);
  return b;
}

struct item {
  const char *path, *text, *link, *hard;
  int type; /* 0: AE_IFREG */
  mode_t mode;
  int uid, gid;
  int major, minor;
  int64_t hole; /* size of a file without content */
  const char *xattr, *value;
  size_t value_len; /* 0: a string */
};

KIT void ball_add(struct ball *b, struct item i) {
  struct archive_entry *e = archive_entry_new();
  size_t n = i.text ? strlen(i.text) : 0;
  int type = i.type ? i.type : (int)AE_IFREG;
  archive_entry_set_pathname(e, i.path);
  archive_entry_set_filetype(e, (unsigned int)type);
  archive_entry_set_perm(e, i.mode ? i.mode : (mode_t)(type == AE_IFDIR ? 0755 : 0644));
  archive_entry_set_uid(e, i.uid);
  archive_entry_set_gid(e, i.gid);
  archive_entry_set_mtime(e, 1000000000, 0);
  if (i.link)
    archive_entry_set_symlink(e, i.link);
  if (i.hard)
    archive_entry_set_hardlink(e, i.hard);
  if (type == AE_IFCHR || type == AE_IFBLK)
    archive_entry_set_rdev(e, makedev((unsigned)i.major, (unsigned)i.minor));
  if (i.xattr)
    archive_entry_xattr_add_entry(e, i.xattr, i.value, i.value_len ? i.value_len : strlen(i.value));
  if (i.hole) {
    archive_entry_set_size(e, i.hole);
    archive_entry_sparse_add_entry(e, 0, 1);
  } else if (type == AE_IFREG && !i.hard) {
    archive_entry_set_size(e, (la_int64_t)n);
  }
  archive_write_header(b->a, e);
  if (n && !i.hole)
    archive_write_data(b->a, i.text, n);
  static const char zeros[1 << 20];
  for (int64_t left = i.hole; left > 0; left -= (int64_t)sizeof zeros)
    archive_write_data(b->a, zeros, left > (int64_t)sizeof zeros ? sizeof zeros : (size_t)left);
  archive_entry_free(e);
}

/* The tar's bytes; the caller frees. */
KIT char *ball_end(struct ball *b, size_t *len) {
  archive_write_close(b->a);
  archive_write_free(b->a);
  *len = b->out.len;
  char *data = pu_buf_steal(&b->out);
  free(b);
  return data;
}

enum pack { PLAIN, GZIP, ZSTD };
KIT char *packed(const char *data, size_t len, enum pack how, size_t *out_len) {
  struct pu_buf out = {0};
  struct archive *a = archive_write_new();
  struct archive_entry *e = archive_entry_new();
  archive_write_set_format_raw(a);
  if (how == GZIP)
    archive_write_add_filter_gzip(a);
  if (how == ZSTD)
    archive_write_add_filter_zstd(a);
  archive_write_set_bytes_in_last_block(a, 1);
  archive_write_open(a, &out, NULL, ball_write, NULL);
  archive_entry_set_filetype(e, AE_IFREG);
  archive_write_header(a, e);
  archive_write_data(a, data, len);
  archive_entry_free(e);
  archive_write_close(a);
  archive_write_free(a);
  *out_len = out.len;
  return pu_buf_steal(&out);
}

/* ---------------------------------------------------------------- images */

struct layer {
  char diff_id[72];
  const struct blob *blob;
  enum pack how;
};

KIT struct layer layer_of(struct ball *ball, enum pack how) {
  struct layer l = {.how = how};
  size_t len, n;
  char *tar = ball_end(ball, &len);
  ri_digest_of(tar, len, l.diff_id);
  char *bytes = how == PLAIN ? tar : packed(tar, len, how, &n);
  l.blob = blob_add(bytes, how == PLAIN ? len : n);
  if (bytes != tar)
    free(bytes);
  free(tar);
  return l;
}

/* One file, and nothing else. */
KIT struct layer layer_with(const char *path, const char *text, enum pack how) {
  struct ball *b = ball_new();
  ball_add(b, (struct item){.path = path, .text = text});
  return layer_of(b, how);
}

KIT const struct blob *config_of(const struct layer *layers, size_t n, const char *note) {
  json_t *ids = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(ids, json_string(layers[i].diff_id));
  json_t *o = json_pack("{s:s, s:s, s:s, s:{s:{s:s}, s:[s]}, s:{s:s, s:o}}", "os", "linux", "architecture", "amd64", "created", "2026-01-01T00:00:00Z", "config",
                        "Labels", "test.note", note, "Cmd", "/bin/sh", "rootfs", "type", "layers", "diff_ids", ids);
  char *text = json_dumps(o, JSON_COMPACT);
  const struct blob *b = blob_add(text, strlen(text));
  free(text);
  json_decref(o);
  return b;
}

KIT const struct blob *manifest_of(const struct layer *layers, size_t n, const struct blob *config) {
  static const char *const types[] = {"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip",
                                      "application/vnd.oci.image.layer.v1.tar+zstd"};
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "mediaType", types[layers[i].how], "digest", layers[i].blob->digest, "size", (json_int_t)layers[i].blob->len));
  json_t *o = json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:o}", "schemaVersion", 2, "mediaType", "application/vnd.oci.image.manifest.v1+json", "config", "mediaType",
                        "application/vnd.oci.image.config.v1+json", "digest", config->digest, "size", (json_int_t)config->len, "layers", list);
  char *text = json_dumps(o, JSON_COMPACT);
  const struct blob *b = blob_add(text, strlen(text));
  free(text);
  json_decref(o);
  return b;
}

KIT const struct blob *image_of(const struct layer *layers, size_t n, const char *note) { return manifest_of(layers, n, config_of(layers, n, note)); }

/* ---------------------------------------------------------------- a registry */

enum lie { HONEST, WRONG_BLOB, ENDLESS, TOO_LONG, CUT, CUT_WHOLE, TO_METADATA, TO_FILE, IN_CIRCLES, WRONG_MANIFEST, HUGE_MANIFEST, NO_MANIFEST, PASSWORD, TOKEN };

static struct registry {
  int fd, port;
  pthread_t thread;
  atomic_bool stop;
  _Atomic int lie;
  const struct blob *tag;       /* what /manifests/1 gives */
  _Atomic int blob_requests, manifest_requests, ranges, logins;
  _Atomic int open;
  _Atomic long sent;
} reg;

static void say(int fd, const char *status, const char *headers, const void *body, size_t len, bool head) {
  struct pu_buf b = {0};
  pu_buf_addf(&b, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status, len, headers);
  if (!head)
    pu_buf_add(&b, body, len);
  for (size_t at = 0; at < b.len;) {
    ssize_t n = send(fd, b.data + at, b.len - at, MSG_NOSIGNAL);
    if (n <= 0)
      break;
    at += (size_t)n;
  }
  pu_buf_free(&b);
}

static void blob_say(int fd, const struct blob *b, long from) {
  char headers[128] = "";
  reg.blob_requests++;
  if (from > 0) {
    reg.ranges++;
    snprintf(headers, sizeof headers, "Content-Range: bytes %ld-%zu/%zu\r\n", from, b->len - 1, b->len);
  }
  bool layer = b->data[0] != '{';
  if (reg.lie == TO_METADATA && layer) {
    say(fd, "307 x", "Location: http://169.254.169.254/latest/meta-data\r\n", "", 0, false);
  } else if (reg.lie == TO_FILE && layer) {
    say(fd, "307 x", "Location: file:///etc/passwd\r\n", "", 0, false);
  } else if (reg.lie == IN_CIRCLES && layer) {
    snprintf(headers, sizeof headers, "Location: /v2/r/blobs/%s\r\n", b->digest);
    say(fd, "307 x", headers, "", 0, false);
  } else if (reg.lie == WRONG_BLOB && layer) {
    char *bad = malloc(b->len);
    memcpy(bad, b->data, b->len);
    bad[b->len / 2] ^= 1;
    say(fd, "200 OK", "", bad, b->len, false);
    free(bad);
  } else if ((reg.lie == ENDLESS || reg.lie == TOO_LONG) && layer) {
    dprintf(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    send(fd, b->data, b->len, MSG_NOSIGNAL);
    static const char junk[65536];
    for (long left = reg.lie == TOO_LONG ? 1 : 1L << 40; left > 0 && !reg.stop; left -= (long)sizeof junk) {
      ssize_t n = send(fd, junk, left > (long)sizeof junk ? sizeof junk : (size_t)left, MSG_NOSIGNAL);
      if (n <= 0)
        break;
      reg.sent += n;
    }
  } else if ((reg.lie == CUT || reg.lie == CUT_WHOLE) && layer && b->len > 8) {
    /* Half of what is asked for, then the connection breaks; CUT_WHOLE knows nothing of ranges. */
    long start = reg.lie == CUT ? from : 0;
    size_t rest = b->len - (size_t)start, part = reg.lie == CUT ? (rest + 1) / 2 : (size_t)reg.blob_requests * b->len / 4 > b->len ? b->len : (size_t)reg.blob_requests * b->len / 4;
    dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", start ? "206 x" : "200 OK", rest, start ? headers : "");
    send(fd, b->data + start, part, MSG_NOSIGNAL);
  } else {
    say(fd, from > 0 ? "206 x" : "200 OK", headers, b->data + from, b->len - (size_t)from, false);
  }
}

static void manifest_say(int fd, const struct blob *b) {
  char headers[256];
  reg.manifest_requests++;
  snprintf(headers, sizeof headers, "Content-Type: application/vnd.oci.image.manifest.v1+json\r\nDocker-Content-Digest: %s\r\n",
           reg.lie == WRONG_MANIFEST ? "sha256:0000000000000000000000000000000000000000000000000000000000000000" : b->digest);
  if (reg.lie == HUGE_MANIFEST) {
    size_t n = 5 << 20;
    char *huge = malloc(n);
    memset(huge, ' ', n);
    say(fd, "200 OK", headers, huge, n, false);
    free(huge);
  } else {
    say(fd, "200 OK", headers, b->data, b->len, false);
  }
}

static bool let_in(int fd, const char *head, const char *path) {
  char challenge[256];
  if (reg.lie == PASSWORD && !strstr(head, "Authorization: Basic YW5uOnNlY3JldA==")) {
    say(fd, "401 x", "WWW-Authenticate: Basic realm=\"x\"\r\n", "", 0, false);
    return false;
  }
  if (reg.lie == TOKEN && !strncmp(path, "/token", 6)) {
    reg.logins++;
    const char *answer = strstr(path, "scope=repository%3Ar%3Apull") && strstr(head, "Authorization: Basic YW5uOnNlY3JldA==") ? "{\"token\":\"t0k\"}" : "{}";
    say(fd, "200 OK", "", answer, strlen(answer), false);
    return false;
  }
  if (reg.lie == TOKEN && !strstr(head, "Authorization: Bearer t0k")) {
    snprintf(challenge, sizeof challenge, "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token\",service=\"s\",scope=\"repository:r:pull\"\r\n", reg.port);
    say(fd, "401 x", challenge, "", 0, false);
    return false;
  }
  return true;
}

static void *serve(void *arg) {
  int fd = (int)(intptr_t)arg;
  char head[16384] = "", path[2048] = "";
  size_t have = 0;
  while (have < sizeof head - 1 && !strstr(head, "\r\n\r\n")) {
    ssize_t n = read(fd, head + have, sizeof head - 1 - have);
    if (n <= 0)
      break;
    have += (size_t)n;
    head[have] = 0;
  }
  if (sscanf(head, "%*s %2047s", path) == 1 && let_in(fd, head, path)) {
    const char *last = strrchr(path, '/'), *range = strstr(head, "Range: bytes=");
    long from = range ? atol(range + 13) : 0;
    const struct blob *b = last ? blob_of(last + 1) : NULL;
    if (!b && strstr(path, "/manifests/1"))
      b = reg.tag;
    if (reg.lie == CUT_WHOLE)
      from = 0;
    if (!b || reg.lie == NO_MANIFEST)
      say(fd, "404 x", "", "{\"errors\":[{\"message\":\"manifest unknown\"}]}", 43, false);
    else if (strstr(path, "/manifests/"))
      manifest_say(fd, b);
    else
      blob_say(fd, b, from);
  }
  close(fd);
  reg.open--;
  return NULL;
}

static void *reg_accept(void *arg) {
  (void)arg;
  while (!reg.stop) {
    int fd = accept4(reg.fd, NULL, NULL, SOCK_CLOEXEC);
    pthread_t t;
    if (fd < 0)
      break;
    reg.open++;
    if (pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) == 0)
      pthread_detach(t);
  }
  return NULL;
}

KIT void reg_start(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  reg.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(reg.fd, (struct sockaddr *)&a, len) || listen(reg.fd, 64) || getsockname(reg.fd, (struct sockaddr *)&a, &len))
    abort();
  reg.port = ntohs(a.sin_port);
  pthread_create(&reg.thread, NULL, reg_accept, NULL);
}

KIT void reg_stop(void) {
  reg.stop = true;
  shutdown(reg.fd, SHUT_RDWR);
  pthread_join(reg.thread, NULL);
  for (int i = 0; reg.open && i < 500; i++)
    usleep(10000);
  close(reg.fd);
}

/* ---------------------------------------------------------------- berth-image */

struct run {
  pid_t pid;
  int out;
};

KIT struct run image_start(const char *action, json_t *spec) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
    abort();
  char *text = json_dumps(spec, JSON_COMPACT);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execl(kit_program, "berth-image", action, (char *)NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  if (write(in[1], text, strlen(text)) < 0)
    perror("berth-image");
  close(in[1]);
  free(text);
  json_decref(spec);
  return (struct run){pid, out[0]};
}

/* Its last line; the caller frees it. *lines: how many there were. */
KIT json_t *image_end(struct run run, int *lines) {
  struct pu_buf b = {0};
  char piece[65536];
  ssize_t n;
  int status;
  while ((n = read(run.out, piece, sizeof piece)) > 0)
    pu_buf_add(&b, piece, (size_t)n);
  close(run.out);
  waitpid(run.pid, &status, 0);
  json_t *last = NULL;
  int count = 0;
  for (char *p = b.data ? strtok(b.data, "\n") : NULL; p; p = strtok(NULL, "\n"), count++) {
    json_decref(last);
    last = json_loads(p, 0, NULL);
  }
  if (lines)
    *lines = count;
  pu_buf_free(&b);
  return last ? last : json_pack("{s:s, s:i}", "error", "berth-image said nothing", "status", status);
}

KIT json_t *image_run(const char *action, json_t *spec) { return image_end(image_start(action, spec), NULL); }

KIT char *kit_path(const char *name) { return pu_asprintf("%s/%s", kit_dir, name); }
KIT const char *error_of(const json_t *answer) { return pu_str_or(answer, "error", ""); }
KIT const char *code_of(const json_t *answer) { return pu_str_or(answer, "code", "ok"); }

/* {"root": …} of a store of this test's. */
KIT json_t *spec_for(const char *store) {
  char *root = kit_path(store);
  json_t *o = json_pack("{s:s}", "root", root);
  free(root);
  return o;
}

KIT json_t *pull_spec(const char *store, const char *reference) {
  json_t *o = spec_for(store);
  char *image = pu_asprintf("127.0.0.1:%d/r%s", reg.port, reference);
  json_object_set_new(o, "image", json_string(image));
  json_object_set_new(o, "timeout_ms", json_integer(5000));
  free(image);
  return o;
}

KIT json_t *pull(const char *store, const char *reference) { return image_run("pull", pull_spec(store, reference)); }

/* A file or folder in layer n (0: the topmost) of what pull answered. */
KIT bool layer_stat(const json_t *answer, size_t n, const char *path, struct stat *st) {
  const char *dir = json_string_value(json_array_get(pu_arr(pu_obj(answer, "result"), "layers"), n));
  char *whole = pu_asprintf("%s/%s", dir ? dir : "/nowhere", path);
  bool there = lstat(whole, st) == 0;
  free(whole);
  return there;
}

KIT char *layer_path(const json_t *answer, size_t n, const char *path) {
  const char *dir = json_string_value(json_array_get(pu_arr(pu_obj(answer, "result"), "layers"), n));
  return pu_asprintf("%s/%s", dir ? dir : "/nowhere", path);
}

KIT int count_in(const char *store, const char *folder) {
  char *command = pu_asprintf("exit $(ls -A %s/%s/images/%s 2>/dev/null | wc -l)", kit_dir, store, folder);
  int status = system(command);
  free(command);
  return WEXITSTATUS(status);
}

KIT void kit_start(void) {
  const char *build = getenv("top_builddir");
  snprintf(kit_program, sizeof kit_program, "%s/plugins/runtime-oci/berth-image", build ? build : ".");
  signal(SIGPIPE, SIG_IGN);
  if (!mkdtemp(kit_dir))
    abort();
  reg_start();
}

KIT void kit_end(void) {
  reg_stop();
  char *command = pu_asprintf("rm -rf %s", kit_dir);
  if (system(command) != 0)
    fprintf(stderr, "# %s stays\n", kit_dir);
  free(command);
  for (size_t i = 0; i < nblobs; i++)
    free(blobs[i].data);
}

#endif
