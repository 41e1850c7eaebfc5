# conan create cmake/packaging/conan

import os
import re

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load


class Mgdl(ConanFile):
    name = "mgdl"
    description = "Multigrade ReLU networks on Eigen"
    license = "MIT"
    topics = ("neural-networks", "regression", "convex-optimization", "eigen")
    settings = "os", "arch", "compiler", "build_type"
    options = {"compiled": [True, False], "json": [True, False]}
    default_options = {"compiled": False, "json": False}

    @property
    def _root(self):
        return os.path.join(self.recipe_folder, "..", "..", "..")

    def set_version(self):
        text = load(self, os.path.join(self._root, "include", "mgdl", "version.hpp"))
        parts = (re.search(rf"#define MGDL_VERSION_{part} (\d+)", text).group(1)
                 for part in ("MAJOR", "MINOR", "PATCH"))
        self.version = ".".join(parts)

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*"):
            copy(self, pattern, self._root, self.export_sources_folder)

    def requirements(self):
        self.requires("eigen/[>=3.4 <6]", transitive_headers=True)
        if self.options.json:
            self.requires("nlohmann_json/[>=3.10 <4]", transitive_headers=True)

    def layout(self):
        cmake_layout(self)

    def package_id(self):
        if not self.options.compiled:
            self.info.clear()

    def generate(self):
        toolchain = CMakeToolchain(self)
        for part in ("TESTS", "EXAMPLES", "COMMAND", "BENCHMARKS", "DOCS"):
            toolchain.cache_variables[f"MGDL_BUILD_{part}"] = False
        toolchain.cache_variables["MGDL_INSTALL_COMPILED"] = bool(self.options.compiled)
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        # Header-only, there is nothing to build.
        if self.options.compiled:
            cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        # The package's own CMake files, which know the alignment that the library was compiled with.
        self.cpp_info.set_property("cmake_find_mode", "none")
        for folder in ("lib", "share"):
            self.cpp_info.builddirs.append(os.path.join(folder, "cmake", "mgdl"))
        self.cpp_info.libs = ["mgdl_compiled"] if self.options.compiled else []
