/* A shared object that is no plug-in. */
int berth_test_nothing(void);
__attribute__((visibility("default"))) int berth_test_nothing(void) { return 0; }
