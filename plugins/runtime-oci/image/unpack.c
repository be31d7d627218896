#define _GNU_SOURCE /* close_range */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "confine.h"
#include "files.h"
#include "manifest.h"

/* The descriptors as unpacker.c hands them over. */
enum { blob_fd = 3, told_fd = 4, dir_fd = 5, report_fd = 6, piece = 256 << 10 };
static const int64_t ratio_from = (int64_t)1 << 30;

/* The blob on its way: packed bytes of the file, unpacked ones for the tar, and the digest between the two. */
struct stream {
  struct ri_tar_limits limits;
  int64_t at, available;
  bool complete;
  char *bytes;
  struct archive *packed;
  EVP_MD_CTX *sum;
  int64_t unpacked;
  bool ended;
  struct ri_why why;
};

/* Waits until there is more of the file than was read. False at its end, or where who writes it is gone. */
static bool more(struct stream *s) {
  while (s->at >= s->available && !s->complete) {
    int64_t words[64];
    ssize_t n = read(told_fd, words, sizeof words);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < (ssize_t)sizeof words[0])
      return ri_why_set(&s->why, BERTH_CANCELLED, "the rest of the blob did not come") == 0;
    int64_t word = words[(size_t)n / sizeof words[0] - 1];
    s->complete = word < 0;
    s->available = word < 0 ? -word - 1 : word;
  }
  return s->at < s->available;
}

static la_ssize_t packed_read(struct archive *a, void *arg, const void **out) {
  struct stream *s = arg;
  *out = s->bytes;
  if (!more(s)) {
    if (s->why.text)
      archive_set_error(a, ECANCELED, "%s", s->why.text);
    return s->why.text ? -1 : 0;
  }
  size_t want = (size_t)(s->available - s->at < piece ? s->available - s->at : piece);
  ssize_t n;
  do
    n = pread(blob_fd, s->bytes, want, s->at);
  while (n < 0 && errno == EINTR);
  if (n <= 0) {
    archive_set_error(a, n ? errno : EIO, "the blob's file is shorter than it was said to be");
    return -1;
  }
  s->at += n;
  return n;
}

/* One piece of what is unpacked; 0 at the end, -1 with why. */
static la_ssize_t unpacked_next(struct stream *s, const void **out) {
  size_t n = 0;
  la_int64_t at;
  if (s->ended)
    return 0;
  int r = archive_read_data_block(s->packed, out, &n, &at);
  if (r == ARCHIVE_EOF) {
    s->ended = true;
    return 0;
  }
  if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
    return ri_why_set(&s->why, BERTH_INVALID, "it cannot be decompressed: %s", archive_error_string(s->packed) ? archive_error_string(s->packed) : "broken");
  EVP_DigestUpdate(s->sum, *out, n);
  s->unpacked += (int64_t)n;
  int64_t most = s->limits.max_bytes + (int64_t)s->limits.max_entries * 2048;
  if (s->unpacked > most)
    return ri_why_set(&s->why, BERTH_TOO_LARGE, "it unpacks to more than the %lld bytes that a layer may have (max_layer_size)", (long long)s->limits.max_bytes);
  if (s->unpacked > ratio_from && s->unpacked / s->limits.max_ratio > s->at)
    return ri_why_set(&s->why, BERTH_TOO_LARGE, "it unpacks to over %lld times its size, as only a bomb does (max_layer_ratio)", (long long)s->limits.max_ratio);
  return (la_ssize_t)n;
}

static la_ssize_t tar_read(struct archive *a, void *arg, const void **out) {
  struct stream *s = arg;
  la_ssize_t n = unpacked_next(s, out);
  if (n < 0)
    archive_set_error(a, EINVAL, "%s", s->why.text);
  return n;
}

static struct archive *packed_open(struct stream *s) {
  struct archive *a = archive_read_new();
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_zstd(a);
  if (s->limits.plain) {
    archive_read_support_filter_xz(a);
    archive_read_support_filter_bzip2(a);
  }
  archive_read_support_format_raw(a);
  archive_read_support_format_empty(a);
  struct archive_entry *e;
  int r = archive_read_open(a, s, NULL, packed_read, NULL);
  if (r == ARCHIVE_OK)
    r = archive_read_next_header(a, &e);
  s->ended = r == ARCHIVE_EOF;
  if (r != ARCHIVE_OK && r != ARCHIVE_EOF && r != ARCHIVE_WARN)
    ri_why_set(&s->why, BERTH_INVALID, "it cannot be decompressed: %s", archive_error_string(a) ? archive_error_string(a) : "broken");
  return a;
}

static int lay(struct stream *s, struct ri_tar_done *done) {
  s->packed = packed_open(s);
  if (s->why.text)
    return -1;
  struct archive *tar = archive_read_new();
  archive_read_support_format_tar(tar);
  archive_read_support_format_empty(tar);
  int failed = 0;
  if (archive_read_open(tar, s, NULL, tar_read, NULL) != ARCHIVE_OK)
    failed = ri_why_set(&s->why, BERTH_INVALID, "it is no tar archive: %s", archive_error_string(tar) ? archive_error_string(tar) : "broken");
  RI_AUTO_FD root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!failed)
    failed = ri_tar_unpack(root, tar, &s->limits, done, &s->why);
  archive_read_free(tar);
  /* What stands behind the tar's end belongs to the digest. */
  const void *rest;
  la_ssize_t n = 0;
  while (!failed && (n = unpacked_next(s, &rest)) > 0)
    continue;
  if (failed || n < 0)
    return -1;
  /* What stands behind the compressed data belongs to the blob's digest, and is waited for. */
  while (!s->complete) {
    s->at = s->available;
    if (!more(s) && s->why.text)
      return -1;
  }
  return 0;
}

static void report(const json_t *o) {
  PU_AUTO_FREE text = pu_json_text(o);
  (void)!ri_write_all(report_fd, text, strlen(text), -1);
}

static int fail(struct ri_why *why) {
  PU_AUTO_JSON error = pu_json_string(why->text);
  PU_AUTO_JSON o = json_pack("{s:s, s:O}", "code", ri_code_name(why->code), "error", error);
  report(o);
  return 1;
}

static int told(struct stream *s, struct ri_tar_done *done) {
  unsigned char sum[EVP_MAX_MD_SIZE];
  char diff[80] = "sha256:";
  EVP_DigestFinal_ex(s->sum, sum, NULL);
  ri_digest_hex(sum, diff + 7);
  PU_AUTO_JSON o = json_pack("{s:s, s:I, s:I, s:I, s:O?, s:O?}", "diff_id", diff, "size", (json_int_t)done->size, "entries", (json_int_t)done->entries,
                             "devices", (json_int_t)done->devices, "implied", done->implied, "opaque", done->opaque);
  report(o);
  return 0;
}

static void limits_read(const char *text, struct ri_tar_limits *out) {
  PU_AUTO_JSON o = pu_json_parse(text, strlen(text));
  *out = (struct ri_tar_limits){.max_bytes = pu_int(o, "max_bytes", 0), .max_entries = pu_int(o, "max_entries", 0), .max_ratio = pu_int(o, "max_ratio", 0),
                                .max_depth = (int)pu_int(o, "max_depth", 0), .devices = (enum ri_devices)pu_int(o, "devices", RI_DEVICES_REFUSE),
                                .bottom = pu_bool(o, "bottom", false), .plain = pu_bool(o, "plain", false)};
  if (out->max_ratio < 1)
    out->max_ratio = 1;
}

/* What libraries read of the machine they read before its files are gone. */
static void prepare(struct stream *s) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  close_range(report_fd + 1, ~0u, 0);
  setlocale(LC_CTYPE, "C.UTF-8");
  s->bytes = pu_calloc(1, piece);
  s->sum = EVP_MD_CTX_new();
  if (!s->sum || EVP_DigestInit_ex(s->sum, EVP_sha256(), NULL) != 1)
    abort();
  umask(0);
}

int ri_unpack_main(const char *limits_json) {
  struct stream s = {0};
  struct ri_tar_done done = {0};
  limits_read(limits_json, &s.limits);
  prepare(&s);
  struct ri_confine how = {.dir = dir_fd, .max_file = s.limits.max_bytes, .devices = s.limits.devices == RI_DEVICES_KEEP};
  int bad = ri_confine(&how, &s.why);
  close(dir_fd); /* it is of the old root, and ".." of it would lead there */
  int code = bad < 0 || lay(&s, &done) < 0 ? fail(&s.why) : told(&s, &done);
  _exit(code);
}
