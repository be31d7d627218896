/* What engines say to runtime-docker, and what the host asks of it: streams of logs and events, answers about containers and all else,
 * refusals, /proc, .dockerignore, texts; specs of containers. (BuildKit: fuzz_buildkit.) */
#include "../../plugins/runtime-docker/frames.h"
#include "../../plugins/runtime-docker/ignore.h"
#include "../../plugins/runtime-docker/limits.h"
#include "../../plugins/runtime-docker/normal.h"
#include "../../plugins/runtime-docker/spec.h"
#include "parts.h"

/* ---------------------------------------------------------------- streams */

struct lines {
  struct rd_loglines lines;
  size_t bytes;
  unsigned sum; /* of the bytes by stream, wherever they were cut */
};

static void line_out(void *arg, int stream, const char *time, const char *text, size_t len) {
  struct lines *l = arg;
  (void)text;
  if ((stream != 1 && stream != 2) || strlen(time) >= 40)
    abort();
  l->bytes += len;
}

static void part(void *arg, int stream, const void *data, size_t len, bool last) {
  struct lines *l = arg;
  for (size_t i = 0; i < len; i++)
    l->sum = l->sum * 31 + ((const unsigned char *)data)[i] * (unsigned)stream;
  rd_loglines_part(&l->lines, stream, data, len, last, line_out, l);
}

/* Pieces of as many bytes as the first one says give what the whole gives. */
static void frames(char *text, size_t len) {
  struct lines whole = {0}, pieces = {0};
  struct rd_frames f = {0}, g = {0};
  if (!len)
    return;
  size_t step = (unsigned char)*text % 16 + 1;
  bool good = rd_frames_feed(&f, text + 1, len - 1, false, part, &whole), same = true;
  for (size_t at = 1; same && at < len; at += step)
    same = rd_frames_feed(&g, text + at, len - at < step ? len - at : step, false, part, &pieces);
  rd_loglines_end(&whole.lines, line_out, &whole);
  rd_loglines_end(&pieces.lines, line_out, &pieces);
  if (good != same || whole.sum != pieces.sum || whole.bytes != pieces.bytes)
    abort();
  rd_loglines_free(&whole.lines);
  rd_loglines_free(&pieces.lines);
}

static void event_line(void *arg, char *text, size_t len) {
  (void)arg;
  PU_AUTO_JSON raw = rd_json_parse(text, len);
  PU_AUTO_JSON event = raw ? rd_normal_event(raw) : NULL;
  if (event)
    pu_number(event, "time_ms", 0);
}

static void events(char *text, size_t len) {
  struct rd_lines lines = {.cap = 256};
  rd_lines_feed(&lines, text, len / 2, event_line, NULL);
  rd_lines_feed(&lines, text + len / 2, len - len / 2, event_line, NULL);
  rd_lines_end(&lines, event_line, NULL);
  pu_buf_free(&lines.rest);
}

/* ---------------------------------------------------------------- answers */

static void inspect(char *text, size_t len) {
  PU_AUTO_JSON answer = rd_json_parse(text, len);
  json_decref(rd_normal_inspect(answer));
}

static void stats(char *text, size_t len) {
  PU_AUTO_JSON answer = rd_json_parse(text, len);
  json_decref(rd_normal_stats(answer));
}

static void lists(char *text, size_t len) {
  PU_AUTO_JSON answer = rd_json_parse(text, len);
  json_decref(rd_normal_list(answer));
  json_decref(rd_normal_networks(answer));
  json_decref(rd_normal_volumes(answer));
  json_decref(rd_normal_prune(answer));
}

/* [version, info, image] */
static void engine(char *text, size_t len) {
  PU_AUTO_JSON answer = rd_json_parse(text, len);
  const json_t *version = json_array_get(answer, 0);
  rd_is_podman(version);
  json_decref(rd_normal_info(version, json_array_get(answer, 1), 141));
  json_decref(rd_normal_image(json_array_get(answer, 2)));
}

/* [what there is, what is wanted] */
static void differs(char *text, size_t len) {
  PU_AUTO_JSON pair = rd_json_parse(text, len);
  free(rd_network_differs(json_array_get(pair, 0), json_array_get(pair, 1)));
  free(rd_volume_differs(json_array_get(pair, 0), json_array_get(pair, 1)));
}

static void refusal(char *text, size_t len) {
  PU_AUTO_FREE sentence = rd_sentence(text, len);
  if (strlen(sentence) > 2048)
    abort();
  rd_code(200 + (int)len % 400, sentence);
  rd_code_text(sentence, BERTH_INTERNAL);
}

/* ---------------------------------------------------------------- the rest */

static bool hard_limit(const void *arg, const char *name, int64_t *hard) {
  (void)arg;
  *hard = 1024;
  return strcmp(name, "nofile") == 0;
}

static void spec(char *text, size_t len) {
  PU_AUTO_JSON given = rd_json_parse(text, len);
  json_decref(rd_spec_files(given));
  struct rd_spec_env env = {.api = len % 2 ? 141 : 144, .podman = len % 2, .hard_limit = hard_limit};
  struct rd_spec s;
  if (rd_spec_translate(&env, given, &s) == (s.why != NULL))
    abort();
  free(pu_json_text(s.body));
  rd_spec_free(&s);
}

/* The first line is the path, a short one: the work is path times pattern. */
static void ignore(char *text, size_t len) {
  char *rest = strchr(text, '\n');
  if (!rest || rest - text > 64)
    return;
  *rest++ = '\0';
  struct rd_ignore *ig = rd_ignore_parse(rest, len - (size_t)(rest - text));
  rd_ignore_match(ig, text);
  rd_ignore_descend(ig, text);
  rd_ignore_free(&ig);
}

static void limits(char *text, size_t len) {
  if (!len)
    return;
  struct rd_limits l = {0};
  int64_t hard;
  FILE *file = fmemopen(text, len, "r"), *status = fmemopen(text, len, "r");
  if (!file || !status)
    abort();
  rd_limits_parse(&l, file, status);
  rd_limits_hard(&l, "nofile", &hard);
  rd_limits_hard(&l, text, &hard);
  fclose(file);
  fclose(status);
}

static void texts(char *text, size_t len) {
  int64_t n;
  pu_duration(text, 1000000000, &n);
  pu_duration(text, 1, &n);
  pu_size(text, &n);
  int64_t ms = pu_time_ms(text);
  free(pu_time_text(ms / 1000));
  PU_AUTO_JSON clean = rd_json_bytes(text, len);
  if (!clean)
    abort();
  free(rd_base64url(text, len));
}

static const struct fuzz_part parts[] = {{'f', "frames", frames},   {'e', "events", events},   {'i', "inspect", inspect}, {'l', "lists", lists}, {'c', "stats", stats},
                                         {'v', "engine", engine},   {'d', "differs", differs}, {'r', "refusal", refusal}, {'s', "spec", spec},
                                         {'g', "ignore", ignore}, {'p', "limits", limits},   {'t', "texts", texts}};
FUZZ_PARTS(parts)
