# Compares two outputs of the program of layout.awk: first the frozen headers', then the present ones'. Prints what a plug-in that was
# built with the frozen ones would stumble over; nothing where all is well. What was appended is fine.

function wrong(text) { print text }

FNR == NR && $1 == "S" { size[$2] = $3; next }
FNR == NR && $1 == "M" { order[++n] = $2 "." $3; old[$2 "." $3] = $4 " " $5; type[$2 "." $3] = rest(6); first($2, $4); next }
FNR == NR { constant[$1 " " $2] = rest(3); next }
$1 == "S" { now[$2] = $3; next }
$1 == "M" { present[$2 "." $3] = $4 " " $5; present_type[$2 "." $3] = rest(6); at[$2 "." $3] = $4; holder[$2 "." $3] = $2; next }
{ value[$1 " " $2] = rest(3) }

function rest(from, i, text) { for (i = from; i <= NF; i++) text = text (i > from ? " " : "") $i; return text }
# The page leaves the size out that structs begin with: where its first member stands at 0, a struct has none.
function first(name, offset) { if (!(name in sized)) sized[name] = offset + 0 > 0 }

END {
  for (i = 1; i <= n; i++) {
    name = order[i]
    if (!(name in present)) wrong(name " was removed")
    else if (present[name] != old[name]) wrong(name " moved, or is larger or smaller (offset and size " old[name] ", now " present[name] ")")
    else if (present_type[name] != type[name]) wrong(name " has another type (" type[name] ", now " present_type[name] ")")
  }
  for (name in at)
    if (!(name in old) && holder[name] in size && at[name] < size[holder[name]])
      wrong(name " is new, but within what was the struct before: append it behind the padding")
  for (name in size) {
    if (!(name in now)) wrong("struct " name " was removed")
    else if (now[name] < size[name]) wrong("struct " name " shrank")
    else if (now[name] > size[name] && !sized[name] && name !~ /^berth_(field|depend|product)$/)
      wrong("struct " name " grew, but has no size of its own")
  }
  for (name in constant) {
    if (!(name in value)) wrong(substr(name, 3) " was removed")
    else if (value[name] != constant[name]) wrong(substr(name, 3) " was " constant[name] " and is " value[name])
  }
}
