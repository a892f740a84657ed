# A stand-in for Slicer's script that lets other extensions build against this one.
file(WRITE ${CMAKE_BINARY_DIR}/${EXTENSION_NAME}Config.cmake "set(${EXTENSION_NAME}_FOUND TRUE)\n")
