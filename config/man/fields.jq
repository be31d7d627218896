# The fields of berthd.yaml as mdoc list items, from "berthd --print-schema".
def kind:
  if .enum then (.enum | map(tostring) | join(", "))
  elif .pattern and (.pattern | contains("kK")) then "size, such as 64MiB"
  else ([.type] | flatten | map(select(. != "null")) | join(" or ")) end;
def line: gsub("\\\\"; "\\e") | gsub("\""; "\\(dq") | gsub("\\. "; ".\n") | sub("^\\."; "\\&.");
def item($path):
  ".It Va " + ($path | join(".")) + " Pq " + kind,
  ((.description // "") | line),
  (if has("default") then "Default:\n.Ql " + (.default | tostring | if . == "" then "\\&" else . end) + " ." else empty end);
def fields($path):
  (.properties // {}) | to_entries[] | .key as $k | .value
  | if .properties then fields($path + [$k])
    elif (.additionalProperties | type) == "object" and .additionalProperties.properties then
      item($path + [$k]), (.additionalProperties | fields($path + [$k, "NAME"]))
    elif .type == "array" or ((.type | type) == "array" and (.type | index("array"))) then
      item($path + [$k]), ((.items // {}) | fields($path + [$k + "[]"]))
    else item($path + [$k]) end;
".Bl -tag -width Ds", fields([]), ".El"
