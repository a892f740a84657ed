"""A thin stand-in of the 3D Slicer application, so that the module ``NativeDL/`` runs in pytest without Slicer.

Real are: the MRML scene, nodes, storage and logics (slicer-core), ``slicer.util`` (slicer-core's own file, unchanged),
Qt (PySide6, offscreen), the DICOM database file and its copies, DICOM reading (ITK). Thin Python written here, with the
names and behaviour of Slicer 5.12: ``slicer.ScriptedLoadableModule``, ``slicer.parameterNodeWrapper``,
``slicer.packaging``, ``PyTorchUtils``, ``slicer.app``, ``slicer.modules``, ``slicer.dicomDatabase``, the widgets of CTK
and MRML. What Slicer lacks is lacking here, and what is not offered here raises; nothing answers with a mock.

Rules for code under ``NativeDL/``: it runs in PythonQt (Qt 5 and 6) and here.

- ``import qt, ctk, vtk, slicer`` and what they import; never PySide6. No ``qt.Signal``, ``qt.Slot``, ``qt.Property``:
  hand callables to whoever shall call them.
- A Qt property is an attribute: ``label.text``, ``spin.value``, ``combo.currentIndex``, ``combo.count``,
  ``table.rowCount``, ``button.enabled``, ``widget.visible``, ``widget.size``, ``timer.active``. ``label.text()`` fails.
  Setters and ``is…`` are methods as well: ``setText``, ``setEnabled``, ``isChecked()``, ``isVisible()``. What is no
  property is a method: ``process.state()``, ``combo.itemData(0)``, ``widget.layout()``, ``widget.parent()``,
  ``widget.children()``, ``edit.toPlainText()``. Items (``QTreeWidgetItem``, ``QTableWidgetItem``) are no QObjects: they
  have methods only, ``item.text(0)``. Nor have ``QColor``, ``QSize``, ``QUrl``, ``QFont``.
- ``widget.visible`` and ``isVisible()`` are False until the window is shown; to ask what code decided, ``isHidden()``.
- Setting an unknown attribute of a Qt object raises. Constructors take no keyword arguments. ``setCursor`` takes a
  ``qt.QCursor``. No Qt object is a context manager (``blockSignals(True)``, ``blockSignals(False)``).
- Qt's classes do not inherit each other in PythonQt: ``widget.inherits("QComboBox")`` or ``isWidgetType()``, never
  ``isinstance(widget, qt.QWidget)``.
- ``qt.QFileDialog.getOpenFileName`` and its like return a str, not a tuple.
- ``slicer.util.settingsValue(key, default, converter=slicer.util.toBool)``: settings come back as text.
- Signals: ``button.clicked.connect(f)`` or ``button.connect("clicked()", f)``. With the second no argument comes.
  With the first, ``clicked`` hands over ``checked`` wherever ``f`` takes an argument. Only signals of Qt 5 and Qt 6:
  ``currentIndexChanged(int)``, ``currentTextChanged(QString)``, ``stateChanged(int)``, ``finished(int,…)``.
- Enums are flat: ``qt.Qt.UserRole``, ``qt.QProcess.NotRunning``; never ``qt.Qt.ItemDataRole.UserRole``.
- ``dialog.exec_()``; ``QMessageBox`` and friends through ``slicer.util.*Display``.
- Bytes of a process: ``process.readAllStandardOutput().data()``.
- ``str(path)`` for every path that goes into Qt, CTK or VTK; ``slicer.dicomDatabase.insert(str(path), True, False)``.
- ``slicer.dicomDatabase.isOpen``, ``databaseFilename`` and ``databaseDirectory`` are attributes. ``seriesAdded`` comes
  with the first instance of a series, before the others are in.
  A file with a SOP instance UID that the database has does not replace the copy there. Without patient ID the study UID
  takes its place, without a name the patient ID; without a study UID nothing is taken.
- Parameter nodes keep nodes only, and are connected to exactly a qMRMLNodeComboBox. Slicer keeps more, but refuses
  ``X | None``. A combo box filled at run time is connected by hand.
- ``slicer.app.layoutManager()`` may be None (``--no-main-window``). The node of a slice view stays when a layout hides
  it: ``IsMappedInLayout()``. Here the views, nodes without a picture, come with the first call.
- ``slicer.dicomDatabase`` is not there before start-up is complete, which is after the start-up module was set up, or
  ``slicer.modules.DICOMInstance.performPostModuleDiscoveryTasks()`` was called.
- ``shutil.which("PythonSlicer")`` is Slicer's Python, here the one that runs the tests.
- A loaded ``.seg.nrrd`` has no reference volume: ``SetReferenceImageGeometryParameterFromVolumeNode`` comes after.
- ``segment.GetTag(name, value)`` with ``value = vtk.reference("")``. The terminologies and colour tables of Slicer's
  share folder are not in slicer-core, so their logics are here without them.
- ``DICOMLib.DICOMUtils.loadSeriesByUID([uid])`` returns the IDs of the nodes; the volume carries
  ``DICOM.instanceUIDs``, its subject hierarchy item and the items above it the UID named ``DICOM``.
- A qMRMLNodeComboBox chooses nothing by itself when a node comes; when the chosen node goes, its neighbour is chosen.
- Widgets of .ui files: Qt's own, ``qMRMLWidget``, ``qMRMLNodeComboBox``, ``ctkCollapsibleButton``. Others are refused
  by name; add them here with their real properties first.

Tests import ``slicer``, ``qt`` and ``ctk`` below the fixture ``slicer_app``, not at the top of their files: before it
they are not installed. See `session.Session` (fixture ``slicer_app``), `popups.Popups` (``slicer_app.popups``) and
`packages.Installer` (``slicer_app.installer``). Exceptions in slots and observers, Qt's warnings and pop-ups that were
not announced fail the test.
"""
