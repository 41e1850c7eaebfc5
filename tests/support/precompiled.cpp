// Nothing: the target that this file makes has the precompiled headers of all tests.
