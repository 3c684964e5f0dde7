#include "guest.h"
void attack(const char *w){(void)w;}
