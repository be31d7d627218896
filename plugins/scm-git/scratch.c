#define _GNU_SOURCE /* nftw, mkdtemp */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/util.h"

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
  (void)st, (void)kind, (void)ftw;
  remove(path);
  return 0;
}

void sg_scratch_remove(const char *dir) {
  if (dir)
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* -1 where somebody holds it. */
static int take_lock(const char *dir) {
  PU_AUTO_FREE path = pu_asprintf("%s/lock", dir);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  if (fd >= 0)
    close(fd);
  return -1;
}

/* Ours only, and of nobody who lives: there may be a key in it. */
static void remove_stale(const char *place, const char *prefix) {
  DIR *d = opendir(place);
  for (struct dirent *e; d && (e = readdir(d));) {
    struct stat st;
    if (!pu_starts(e->d_name, prefix) || strlen(e->d_name) != strlen(prefix) + 6 ||
        fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
      continue;
    PU_AUTO_FREE dir = pu_asprintf("%s/%s", place, e->d_name);
    int lock = take_lock(dir);
    if (lock < 0)
      continue;
    sg_scratch_remove(dir);
    close(lock);
  }
  if (d)
    closedir(d);
}

char *sg_scratch_base(const char *entry, int *lock) {
  static const char *const places[] = {"/run", "/dev/shm", "/tmp"};
  PU_AUTO_FREE prefix = pu_asprintf("berth-%s-", entry);
  for (size_t i = 0; i < PU_COUNT(places); i++) {
    remove_stale(places[i], prefix);
    char *dir = pu_asprintf("%s/%sXXXXXX", places[i], prefix);
    if (mkdtemp(dir) && (*lock = take_lock(dir)) >= 0) /* 0700 */
      return dir;
    free(dir);
  }
  *lock = -1;
  return NULL;
}

static bool write_file(const char *dir, const char *name, const char *text, size_t len) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s", dir, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return false;
  size_t done = 0;
  while (done < len) {
    ssize_t n = write(fd, text + done, len - done);
    if (n <= 0 && errno != EINTR)
      break;
    done += n > 0 ? (size_t)n : 0;
  }
  return close(fd) == 0 && done == len;
}

/* A value as git's configuration quotes it. */
static void add_value(struct pu_buf *b, const char *key, const char *value) {
  pu_buf_addf(b, "\t%s = \"", key);
  for (; *value; value++) {
    if (*value == '"' || *value == '\\')
      pu_buf_addc(b, '\\');
    if (*value == '\n')
      pu_buf_adds(b, "\\n");
    else
      pu_buf_addc(b, *value);
  }
  pu_buf_adds(b, "\"\n");
}

/* Only to this very repository: git sends the header nowhere else, and follows no redirect. */
static void add_login(struct pu_buf *b, const struct sg_host *h) {
  if (!h->username || !h->password)
    return;
  PU_AUTO_FREE plain = pu_asprintf("%s:%s", h->username, h->password);
  size_t room = sodium_base64_encoded_len(strlen(plain), sodium_base64_VARIANT_ORIGINAL);
  char *base64 = pu_calloc(room, 1);
  sodium_bin2base64(base64, room, (const unsigned char *)plain, strlen(plain), sodium_base64_VARIANT_ORIGINAL);
  char *header = pu_asprintf("Authorization: Basic %s", base64);
  add_value(b, "extraHeader", header);
  explicit_bzero(plain, strlen(plain));
  pu_wipe_free(base64);
  pu_wipe_free(header);
}

static char *config_text(const struct sg_url *url, const struct sg_host *h, const char *dir) {
  static const char fixed[] = "[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\taskPass =\n\tsymlinks = false\n"
                              "[credential]\n\thelper =\n"
                              "[fetch]\n\tunpackLimit = 1\n\trecurseSubmodules = false\n\twriteCommitGraph = false\n"
                              "[submodule]\n\trecurse = false\n[transfer]\n\tbundleURI = false\n\tunpackLimit = 1\n"
                              "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n"
                              "[http]\n\tfollowRedirects = false\n\tsslVerify = true\n\tlowSpeedLimit = 1000\n\tlowSpeedTime = 30\n"
                              "[protocol]\n\tallow = never\n\tversion = 2\n";
  struct pu_buf b = {.secret = true};
  pu_buf_adds(&b, fixed);
  pu_buf_addf(&b, "[protocol \"%s\"]\n\tallow = always\n", sg_scheme_name(url->scheme));
  if (url->scheme == SG_FILE)
    pu_buf_adds(&b, "[safe]\n\tdirectory = *\n"); /* whose folders may be read is said by file_roots */
  pu_buf_addf(&b, "[gpg \"ssh\"]\n\tallowedSignersFile = %s/signers\n", dir);
  if (h && (url->scheme == SG_HTTPS || url->scheme == SG_HTTP)) {
    pu_buf_addf(&b, "[http \"%s://%s%s\"]\n", sg_scheme_name(url->scheme), url->authority, url->path);
    add_login(&b, h);
    if (h->ca_file)
      add_value(&b, "sslCAInfo", h->ca_file);
  }
  return pu_buf_steal(&b);
}

/* ssh wants its key to end with a line break. */
static bool write_key(const char *dir, const char *key) {
  char *text = pu_asprintf("%s%s", key, *key && key[strlen(key) - 1] == '\n' ? "" : "\n");
  bool fine = write_file(dir, "key", text, strlen(text));
  pu_wipe_free(text);
  return fine;
}

/* Each program gets the lines that it can read. */
static bool write_signers(const char *dir, const char *signers) {
  PU_AUTO_FREE ssh = sg_signers_of(signers, false);
  PU_AUTO_FREE openpgp = sg_signers_of(signers, true);
  PU_AUTO_FREE gnupg = pu_asprintf("%s/gnupg", dir);
  return write_file(dir, "signers", ssh, strlen(ssh)) && write_file(dir, "signers.asc", openpgp, strlen(openpgp)) &&
         (!*openpgp || mkdir(gnupg, 0700) == 0);
}

static bool write_all(const char *dir, const struct sg_settings *settings, const struct sg_url *url, const char *signers) {
  const struct sg_host *h = sg_settings_host(settings, url);
  char *config = config_text(url, h, dir);
  bool fine = write_file(dir, "config", config, strlen(config));
  pu_wipe_free(config);
  if (fine && h && h->ssh_key)
    fine = write_key(dir, h->ssh_key);
  if (fine && url->scheme == SG_SSH)
    fine = write_file(dir, "known_hosts", h && h->known_hosts ? h->known_hosts : "", h && h->known_hosts ? strlen(h->known_hosts) : 0);
  return fine && (!signers || write_signers(dir, signers));
}

char *sg_scratch_new(const char *base, const struct sg_settings *settings, const struct sg_url *url, const char *signers, char **why) {
  char *dir = pu_asprintf("%s/job-XXXXXX", base);
  if (mkdtemp(dir) && write_all(dir, settings, url, signers))
    return dir;
  *why = pu_asprintf("cannot write git's configuration under %s: %s", base, strerror(errno));
  sg_scratch_remove(dir);
  free(dir);
  return NULL;
}

char *sg_signers_of(const char *signers, bool openpgp) {
  static const char begin[] = "-----BEGIN PGP PUBLIC KEY BLOCK-----", end[] = "-----END PGP PUBLIC KEY BLOCK-----";
  struct pu_buf b = {0};
  bool within = false;
  for (const char *line = signers; *line;) {
    size_t n = strcspn(line, "\n"), text = n && line[n - 1] == '\r' ? n - 1 : n;
    bool blank = strspn(line, " \t\r") >= text, comment = line[0] == '#';
    within = within || pu_starts(line, begin);
    if (within == openpgp && (within || !(blank || comment))) {
      pu_buf_add(&b, line, text);
      pu_buf_addc(&b, '\n');
    }
    if (pu_starts(line, end))
      within = false;
    line += n + (line[n] == '\n');
  }
  return pu_buf_steal(&b);
}
