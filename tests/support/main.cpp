#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"

#include <iostream>

int main(int argc, char** argv) {
  Catch::Session session;
#if !__has_include(<catch2/catch_all.hpp>)
  // Version 3 has this by itself: a test program that ran no test has failed.
  session.configData().warnings = Catch::WarnAbout::NoTests;
#endif
  if (const int error = session.applyCommandLine(argc, argv); error != 0) return error;
  std::cout << "seed: " << session.config().rngSeed() << std::endl;
  return session.run();
}
