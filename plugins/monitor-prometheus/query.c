#include "query.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../common/util.h"

char *mp_query_url(const char *base, const char *query) {
  PU_AUTO_BUF url = {0};
  size_t len = strlen(base);
  while (len > 0 && base[len - 1] == '/')
    len--;
  pu_buf_add(&url, base, len);
  pu_buf_adds(&url, "/api/v1/query?query=");
  pu_url_add(&url, query, "");
  return pu_buf_steal(&url);
}

static json_t *fail(enum berth_code *code, char **why, enum berth_code as, char *sentence_steal) {
  *code = as;
  *why = sentence_steal;
  return NULL;
}

/* [seconds, "value"]: numbers are texts there, "NaN" and "+Inf" among them. */
static bool read_point(const json_t *point, json_t *into) {
  const json_t *at = json_array_get(point, 0);
  const char *text = json_string_value(json_array_get(point, 1));
  char *end = NULL;
  double v = text ? strtod(text, &end) : 0;
  if (!text || !*text || *end || !json_is_number(at))
    return false;
  json_object_set_new(into, "value", isfinite(v) ? json_real(v) : json_null());
  json_object_set_new(into, "at_ms", json_integer((json_int_t)(json_number_value(at) * 1000)));
  return true;
}

/* A series of a vector has one point, of a matrix many: the last one counts. */
static bool add_series(json_t *series, const json_t *one) {
  const json_t *values = json_object_get(one, "values"), *labels = json_object_get(one, "metric");
  const json_t *point = values ? json_array_get(values, json_array_size(values) - 1) : json_object_get(one, "value");
  json_t *o = json_object();
  json_object_set_new(o, "labels", json_is_object(labels) ? json_deep_copy(labels) : json_object());
  bool good = read_point(point, o);
  if (good)
    json_array_append_new(series, o);
  else
    json_decref(o);
  return good;
}

static json_t *take(const json_t *data, enum berth_code *code, char **why) {
  const char *type = pu_str_or(data, "resultType", "");
  const json_t *result = json_object_get(data, "result");
  PU_AUTO_JSON series = json_array();
  bool good = json_is_array(result);
  if (pu_eq(type, "string"))
    return fail(code, why, BERTH_INVALID, pu_strdup("the query's answer is a text, not a number"));
  if (pu_eq(type, "scalar")) {
    PU_AUTO_JSON one = json_pack("{s:{},s:O}", "metric", "value", result);
    good = good && one && add_series(series, one);
  } else if (!pu_eq(type, "vector") && !pu_eq(type, "matrix")) {
    good = false;
  } else if (json_array_size(result) > MP_QUERY_MOST) {
    return fail(code, why, BERTH_TOO_LARGE, pu_asprintf("the query has %zu series for its answer, and %d are taken; put such as sum() around it",
                                                        json_array_size(result), MP_QUERY_MOST));
  } else {
    for (size_t i = 0; good && i < json_array_size(result); i++)
      good = add_series(series, json_array_get(result, i));
  }
  if (!good)
    return fail(code, why, BERTH_UNAVAILABLE, pu_strdup("the answer is not as Prometheus' API has it"));
  return json_pack("{s:O}", "series", series);
}

static enum berth_code code_of(int status) {
  return status == 401   ? BERTH_UNAUTHENTICATED
         : status == 403 ? BERTH_DENIED
         : status == 400 || status == 422 ? BERTH_INVALID
                                          : BERTH_UNAVAILABLE;
}

json_t *mp_query_result(int status, const char *body, size_t len, enum berth_code *code, char **why) {
  PU_AUTO_JSON o = body ? pu_json_parse(body, len) : NULL;
  const char *said = pu_str_or(o, "error", NULL);
  if (said)
    return fail(code, why, code_of(status), pu_asprintf("Prometheus says: %.300s", said));
  if (status != 200)
    return fail(code, why, code_of(status), pu_asprintf("Prometheus answers with status %d", status));
  if (!o || !pu_eq(pu_str_or(o, "status", ""), "success"))
    return fail(code, why, BERTH_UNAVAILABLE, pu_strdup("the answer is not as Prometheus' API has it"));
  return take(json_object_get(o, "data"), code, why);
}
