# A stand-in for Slicer's UseSlicer.cmake: macros with the arguments, the strictness and the file layout of Slicer's own.
set(EXTENSION_NAME ${PROJECT_NAME})
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
include(CTest)

function(fake_refuse_unknown what unknown)
  if(NOT "${unknown}" STREQUAL "")
    message(FATAL_ERROR "Unknown keywords given to ${what}(): \"${unknown}\"")
  endif()
endfunction()

# Each file is copied to the same relative path, at build time; what then lies in the folder is installed, whole.
function(fake_copy target destination files)
  set(copied)
  foreach(file IN LISTS files)
    add_custom_command(
      OUTPUT ${destination}/${file}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${destination}/${file}
      )
    list(APPEND copied ${destination}/${file})
  endforeach()
  add_custom_target(${target} ALL DEPENDS ${copied})
endfunction()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY_SLICER "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  fake_refuse_unknown(slicerMacroBuildScriptedModule "${MY_SLICER_UNPARSED_ARGUMENTS}")
  if(NOT DEFINED MY_SLICER_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  set(fake_scripts)
  foreach(file IN LISTS MY_SLICER_SCRIPTS)
    if(NOT file MATCHES "\\.py$")
      string(APPEND file ".py")
    endif()
    list(APPEND fake_scripts ${file})
  endforeach()
  foreach(file IN LISTS fake_scripts MY_SLICER_RESOURCES)
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file or directory '${file}'")
    endif()
  endforeach()

  # With a folder of its own that folder is installed, without one the content of the folder of all scripted modules.
  set(fake_destination ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
  if(MY_SLICER_WITH_SUBDIR)
    get_filename_component(fake_folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(fake_destination ${fake_destination}/${fake_folder})
    set(fake_to_install ${fake_destination})
  else()
    set(fake_to_install ${fake_destination}/)
  endif()
  fake_copy(Copy${MY_SLICER_NAME} ${fake_destination} "${fake_scripts};${MY_SLICER_RESOURCES}")
  install(DIRECTORY "${fake_to_install}"
    DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}" COMPONENT RuntimeLibraries
    USE_SOURCE_PERMISSIONS)

  if(BUILD_TESTING AND MY_SLICER_WITH_GENERIC_TESTS)
    add_test(NAME py_nomainwindow_qSlicer${MY_SLICER_NAME}ModuleGenericTest COMMAND ${Slicer_LAUNCHER_EXECUTABLE})
  endif()
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  fake_refuse_unknown(slicer_add_python_unittest "${MY_UNPARSED_ARGUMENTS}")
  get_filename_component(test_name ${MY_SCRIPT} NAME_WE)
  add_test(NAME py_${MY_TESTNAME_PREFIX}${test_name} COMMAND ${Slicer_LAUNCHER_EXECUTABLE} --testing)
endmacro()
