# CMake reads this at the start of llama.cpp's project. llama-cpp-python switches on what llama.cpp's own programs share
# and needs none of it.
set(LLAMA_BUILD_COMMON OFF)

# The many small files of mtmd share large headers: they are joined, as llama.cpp joins those of its models. Two check
# that they are on their own.
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL
    set_target_properties mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL
    set_source_files_properties vendor/llama.cpp/tools/mtmd/mtmd-helper.cpp
    vendor/llama.cpp/tools/mtmd/mtmd-helper-gen.cpp
    TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
# It prepares images and sound for ggml, which does the work: optimising it further doubles the time of its compilation.
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL target_compile_options mtmd PRIVATE -O1)
