# A stand-in for the SlicerConfig.cmake of a Slicer build: what an extension of scripted modules needs of it.
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/CPack.cmake")
set(Slicer_USE_PYTHONQT ON)
set(Slicer_LAUNCHER_EXECUTABLE Slicer)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
set(Slicer_SHARE_DIR "share/Slicer-5.12")
