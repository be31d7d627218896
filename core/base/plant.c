#include "config.h"

#include "base/plant.h"

#ifdef BERTH_PLANTED
enum bt_plant bt_planted;
#endif
