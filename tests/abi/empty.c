/* A shared object that defines nothing, so that all it seems to have is a dependency's. */
typedef int nothing;
