/* The state file: a first line that says what it is, then one JSON object a line, newest last. It is written without waiting for the
 * disk, since it has to outlive the process and not the machine: real containers do not outlive that either. Read at the start, and
 * then written anew without what is gone. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"

enum { max_bytes = 1 << 30, slack_lines = 20000 };

static const char first_line[] = "{\"runtime-sim\":1}\n";

static void rewrite(struct berth_instance *self);

/* ---------------------------------------------------------------- writing */

static void broken(struct berth_instance *self, const char *what) {
  if (!self->journal_broken)
    sim_log(self, BERTH_LOG_ERROR, "state: %s: %s: the pretended containers will not outlive this process", self->settings.state, what);
  self->journal_broken = true;
}

static void add_line(struct pu_buf *out, json_t *o) {
  PU_AUTO_FREE text = pu_json_text(o);
  pu_buf_adds(out, text);
  pu_buf_addc(out, '\n');
}

static void write_line(struct berth_instance *self, json_t *o_steal) {
  PU_AUTO_JSON o = o_steal;
  if (self->journal < 0)
    return;
  PU_AUTO_BUF line = {0};
  add_line(&line, o);
  if (write(self->journal, line.data, line.len) != (ssize_t)line.len)
    broken(self, "it cannot be written");
  size_t live = HASH_CNT(by_id, self->by_id) + HASH_COUNT(self->images) + HASH_COUNT(self->networks) + HASH_COUNT(self->volumes);
  if (++self->journal_lines > 4 * live + slack_lines)
    rewrite(self);
}

/* Short, since it is written at each start and end. */
static json_t *run_json(const struct sim_container *c) {
  return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:b, s:i, s:b}", "run", c->id, "state", (int)c->state, "n", (json_int_t)c->run,
                   "started", (json_int_t)c->started_ms, "finished", (json_int_t)c->finished_ms, "ready", (json_int_t)c->ready_ms, "sick",
                   (json_int_t)c->sick_ms, "end", (json_int_t)c->end_ms, "end_code", c->end_code, "end_oom", c->end_oom, "exit_code", c->exit_code,
                   "oom", c->oom);
}

static json_t *container_json(const struct sim_container *c) {
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "container", c->id, "name", c->name, "key", c->key, "text", c->text, "created",
                   (json_int_t)c->created_ms, "ip", (json_int_t)c->self->next_ip);
}

static json_t *image_json(const struct sim_image *i) {
  return json_pack("{s:s, s:s, s:O, s:O, s:I}", "image", i->id, "digest", i->digest, "tags", i->tags, "repos", i->repos, "created",
                   (json_int_t)i->created_ms);
}

static json_t *thing_json(bool volume, const struct sim_thing *t) {
  json_t *o = json_pack("{s:s, s:s?, s:s?}", volume ? "volume" : "network", t->name, "driver", t->driver, "subnet", t->subnet);
  json_object_set(o, "labels", t->labels);
  return o;
}

void sim_journal_container(const struct sim_container *c) { write_line(c->self, container_json(c)); }
void sim_journal_run(const struct sim_container *c) { write_line(c->self, run_json(c)); }
void sim_journal_image(struct berth_instance *self, const struct sim_image *image) { write_line(self, image_json(image)); }
void sim_journal_thing(struct berth_instance *self, bool volume, const struct sim_thing *t) { write_line(self, thing_json(volume, t)); }
void sim_journal_gone(struct berth_instance *self, const char *kind, const char *id) {
  write_line(self, json_pack("{s:s, s:b}", kind, id, "gone", 1));
}

static void add_line_steal(struct pu_buf *out, json_t *o_steal) {
  PU_AUTO_JSON o = o_steal;
  add_line(out, o);
}

static void all_lines(struct berth_instance *self, struct pu_buf *out) {
  pu_buf_adds(out, first_line);
  for (const struct sim_image *i = self->images; i; i = i->hh.next)
    add_line_steal(out, image_json(i));
  for (int volume = 0; volume < 2; volume++)
    for (const struct sim_thing *t = *sim_things(self, volume); t; t = t->hh.next)
      add_line_steal(out, thing_json(volume, t));
  for (const struct sim_container *c = self->by_id; c; c = c->by_id.next) {
    add_line_steal(out, container_json(c));
    if (c->run)
      add_line_steal(out, run_json(c));
  }
}

/* The new file takes the old one's place whole, or not at all. */
static void rewrite(struct berth_instance *self) {
  PU_AUTO_BUF all = {0};
  PU_AUTO_FREE fresh = pu_asprintf("%s.new", self->settings.state);
  all_lines(self, &all);
  int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool good = fd >= 0 && write(fd, all.data, all.len) == (ssize_t)all.len && rename(fresh, self->settings.state) == 0;
  self->journal_lines = 0;
  if (good) {
    if (self->journal >= 0)
      close(self->journal);
    self->journal = fd;
    return;
  }
  broken(self, "it cannot be written anew");
  if (fd >= 0)
    close(fd);
  unlink(fresh);
}

/* ---------------------------------------------------------------- reading */

/* After a restart a service's slot goes on where it was in its fate. */
static void read_run(struct berth_instance *self, const json_t *o) {
  struct sim_container *c = sim_container_find(self, pu_str(o, "run"));
  int64_t state = pu_int(o, "state", 0);
  if (!c || state < SIM_CREATED || state > SIM_EXITED)
    return;
  c->state = (enum sim_state)state;
  c->run = (uint64_t)pu_int(o, "n", 0);
  c->started_ms = pu_int(o, "started", 0);
  c->finished_ms = pu_int(o, "finished", 0);
  c->ready_ms = pu_int(o, "ready", 0);
  c->sick_ms = pu_int(o, "sick", 0);
  c->end_ms = pu_int(o, "end", 0);
  c->end_code = (int)pu_int(o, "end_code", 0);
  c->end_oom = pu_bool(o, "end_oom", false);
  c->exit_code = (int)pu_int(o, "exit_code", 0);
  c->oom = pu_bool(o, "oom", false);
}

static void read_container(struct berth_instance *self, const json_t *o, const char *id) {
  struct sim_container *c = sim_container_find(self, id);
  const char *name = pu_str(o, "name"), *text = pu_str(o, "text");
  if (pu_bool(o, "gone", false)) {
    if (c)
      sim_container_free(c);
    return;
  }
  if (c && text) { /* written again: its limits changed */
    free(c->text);
    c->text = pu_strdup(text);
    PU_AUTO_JSON doc = sim_container_doc(c);
    sim_container_facts(c, doc);
    return;
  }
  if (c || !name || !text || sim_container_find(self, name) || HASH_CNT(by_id, self->by_id) >= sim_max_containers)
    return;
  c = sim_container_add(self, id, name, pu_str_or(o, "key", name), pu_strdup(text));
  c->created_ms = pu_int(o, "created", 0);
  if (pu_int(o, "ip", 0) > self->next_ip)
    self->next_ip = (uint32_t)pu_int(o, "ip", 0);
}

static void read_image(struct berth_instance *self, const json_t *o, const char *id) {
  struct sim_image *image = NULL;
  HASH_FIND_STR(self->images, id, image);
  if (image)
    sim_image_free(self, image);
  if (pu_bool(o, "gone", false) || !pu_str(o, "digest") || HASH_COUNT(self->images) >= sim_max_images)
    return;
  image = sim_image_add(self, id, pu_str(o, "digest"));
  json_array_extend(image->tags, json_object_get(o, "tags"));
  json_array_extend(image->repos, json_object_get(o, "repos"));
  image->created_ms = pu_int(o, "created", 0);
}

static void read_thing(struct berth_instance *self, const json_t *o, bool volume, const char *name) {
  struct sim_thing *t = sim_thing_find(self, volume, name);
  if (t)
    sim_thing_free(sim_things(self, volume), t);
  if (pu_bool(o, "gone", false) || HASH_COUNT(*sim_things(self, volume)) >= sim_max_things)
    return;
  t = sim_thing_add(self, volume, name);
  t->driver = pu_strdup(pu_str_or(o, "driver", ""));
  t->subnet = pu_strdup(pu_str(o, "subnet"));
  t->labels = json_incref(pu_obj(o, "labels"));
}

static void read_line(struct berth_instance *self, const char *line, size_t len) {
  PU_AUTO_JSON o = pu_json_parse(line, len); /* the last line may be torn */
  if (pu_str(o, "container"))
    read_container(self, o, pu_str(o, "container"));
  else if (pu_str(o, "run"))
    read_run(self, o);
  else if (pu_str(o, "image"))
    read_image(self, o, pu_str(o, "image"));
  else if (pu_str(o, "volume"))
    read_thing(self, o, true, pu_str(o, "volume"));
  else if (pu_str(o, "network"))
    read_thing(self, o, false, pu_str(o, "network"));
}

static void read_lines(struct berth_instance *self, const char *text, size_t len) {
  for (const char *p = text, *end = text + len; p < end;) {
    const char *eol = memchr(p, '\n', (size_t)(end - p));
    read_line(self, p, (size_t)((eol ? eol : end) - p));
    p = eol ? eol + 1 : end;
  }
}

static char *read_file(struct berth_instance *self, int fd) {
  const char *path = self->settings.state;
  struct stat st;
  size_t skip = strlen(first_line), n = 0;
  if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
    return pu_asprintf("state: %s is no plain file", path);
  if (st.st_size > max_bytes)
    return pu_asprintf("state: %s is over 1 GiB", path);
  PU_AUTO_FREE text = pu_calloc(1, (size_t)st.st_size + 1);
  for (ssize_t got; n < (size_t)st.st_size && (got = read(fd, text + n, (size_t)st.st_size - n)) > 0;)
    n += (size_t)got;
  if (n && (n < skip || memcmp(text, first_line, skip) != 0))
    return pu_asprintf("state: %s is not of runtime-sim: name another file, or remove it", path);
  if (n)
    read_lines(self, text + skip, n - skip);
  return NULL;
}

/* A run that should have ended, or become healthy, meanwhile: it has. */
static void resume(struct berth_instance *self) {
  for (struct sim_container *c = self->by_id; c; c = c->by_id.next) {
    if (c->run)
      sim_count_from(self, "run", c->key, c->run);
    c->told = c->checked ? 's' : 0;
    sim_life_go_on(c);
  }
}

bool sim_journal_open(struct berth_instance *self, char **why) {
  self->journal = -1;
  if (!self->settings.state)
    return true;
  int fd = open(self->settings.state, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  int error = errno;
  char *sentence = NULL;
  if (fd >= 0) {
    sentence = read_file(self, fd);
    close(fd);
  } else if (error != ENOENT) {
    sentence = pu_asprintf("state: %s cannot be read: %s", self->settings.state, strerror(error));
  }
  if (!sentence) {
    rewrite(self);
    sentence = self->journal < 0 ? pu_asprintf("state: %s cannot be written: its folder must exist and be berthd's", self->settings.state) : NULL;
  }
  *why = sentence;
  if (!sentence)
    resume(self);
  return !sentence;
}

void sim_journal_close(struct berth_instance *self) {
  if (self->journal >= 0)
    close(self->journal);
  self->journal = -1;
}
