/* llhttp as its packagers ship it: C sources outside this tree; configure's --with-llhttp names their folder. */
#include <llhttp.c>
