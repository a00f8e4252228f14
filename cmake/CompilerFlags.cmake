# Flags that every target shares. -ffp-contract=off keeps the arithmetic of docs/numerics.md:
# an fma stands only where the source says so.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()
add_compile_options(-ffp-contract=off -fno-math-errno -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                    -Wno-sign-conversion
                    # g++ 12 warns of its own std::string operator+ (GCC bug 105651).
                    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(BATCHWRIGHT_WERROR)
  add_compile_options(-Werror)
endif()
if(BATCHWRIGHT_SANITIZE)
  add_compile_options(-fsanitize=${BATCHWRIGHT_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BATCHWRIGHT_SANITIZE})
endif()

# Files named *_avx2.cc and so on are compiled for that instruction set, all others for baseline x86-64.
# Without exceptions, as unoptimised code would else emit a weak symbol for their sake.
set(BATCHWRIGHT_FLAGS_avx2 -fno-exceptions -mavx2 -mfma -mf16c)
set(BATCHWRIGHT_FLAGS_avxvnni ${BATCHWRIGHT_FLAGS_avx2} -mavxvnni)
set(BATCHWRIGHT_FLAGS_avx512
    ${BATCHWRIGHT_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq
    # g++ 12 warns of its own _mm512_undefined_*.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
set(BATCHWRIGHT_FLAGS_vnni ${BATCHWRIGHT_FLAGS_avx512} -mavx512vnni)
set(BATCHWRIGHT_FLAGS_amx ${BATCHWRIGHT_FLAGS_vnni} -mamx-tile -mamx-int8)
