"""Gives data nodes their items in the subject hierarchy, as the application's plugins do in Slicer."""

from __future__ import annotations

from typing import Any

import slicer_core
import vtk

OWNED = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTransformNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
)


def follow(scene: Any) -> None:
    """Create an item for each data node that comes, remove it with the node."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(_caller: Any, _event: str, node: Any) -> None:
        if node.GetHideFromEditors() or scene.IsClosing() or not any(node.IsA(name) for name in OWNED):
            return
        tree = slicer_core.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if not _item(tree, node):
            tree.CreateItem(tree.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(_caller: Any, _event: str, node: Any) -> None:
        if scene.IsClosing() or not any(node.IsA(name) for name in OWNED):
            return
        tree = slicer_core.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if item := _item(tree, node):
            tree.RemoveItem(item, False, False)

    scene.AddObserver(scene.NodeAddedEvent, added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, removed)


def _item(tree: Any, node: Any) -> int:
    return int(tree.GetItemByDataNode(node))
