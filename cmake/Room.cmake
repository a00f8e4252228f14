# batchwright_room(NAME [DEPS room...] [LIBS target...])
#
# A room is a folder under src/, a static library batchwright::NAME and a namespace. All its *.cc files belong to the
# library; *_test.cc make one test program NAME_test, *_bench.cc one benchmark program NAME_bench. *_test_avx2.cc and so
# on are parts of the tests for one instruction set.
function(batchwright_room NAME)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS;TEST_LIBS" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test(_(avx2|avx512|vnni|amx))?|bench)\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test(_(avx2|avx512|vnni|amx))?\\.cc$")
  set(benches ${all})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")

  set(deps ${ROOM_DEPS})
  list(TRANSFORM deps PREPEND "batchwright::")

  if(sources)
    set(visibility PUBLIC)
    add_library(batchwright_${NAME} STATIC ${sources})
    foreach(isa avx2 avxvnni avx512 vnni amx)
      set(isa_sources ${sources} ${tests})
      list(FILTER isa_sources INCLUDE REGEX "_${isa}\\.cc$")
      if(isa_sources)
        set_source_files_properties(${isa_sources} PROPERTIES COMPILE_OPTIONS "${BATCHWRIGHT_FLAGS_${isa}}")
      endif()
    endforeach()
  else()
    set(visibility INTERFACE)
    add_library(batchwright_${NAME} INTERFACE)
  endif()
  add_library(batchwright::${NAME} ALIAS batchwright_${NAME})
  target_include_directories(batchwright_${NAME} ${visibility} "${PROJECT_SOURCE_DIR}/include"
                                                               "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(batchwright_${NAME} ${visibility} ${deps} ${ROOM_LIBS})

  # Tests are listed when ctest starts: listing while building would run every program once more, sanitised ones too.
  if(tests AND BATCHWRIGHT_TESTS)
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE batchwright::${NAME} ${ROOM_TEST_LIBS} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${NAME}_test PRIVATE BATCHWRIGHT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    gtest_discover_tests(${NAME}_test TEST_PREFIX "${NAME}/" DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                         PROPERTIES TIMEOUT 600)
  endif()
  if(benches AND BATCHWRIGHT_BENCHMARKS)
    add_executable(${NAME}_bench ${benches})
    target_link_libraries(${NAME}_bench PRIVATE batchwright::${NAME} benchmark::benchmark_main)
  endif()
endfunction()
