# Debian packages of a release build: ./dev package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME fedmoe)
set(CPACK_PACKAGE_VENDOR "The fedmoe authors")
set(CPACK_PACKAGE_CONTACT "The fedmoe authors <fedmoe@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL node aggregator tools python)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_COMPONENT_NODE_DESCRIPTION "privacy-preserving federated learning: an institution's node
Takes part in the training of one model by several institutions with records
that stay here: only clipped, noised and masked sums leave, and a ledger of
what was spent is kept and enforced on this side.")
set(CPACK_COMPONENT_AGGREGATOR_DESCRIPTION "privacy-preserving federated learning: the aggregator
Invites institutions, collects their masked updates, of which it can read the
sum alone, steps the optimizer and distributes the model.")
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "privacy-preserving federated learning: models, accounting, certificates
Makes, trains, measures and runs models (fedmoe-model), reckons with
differential privacy (fedmoe-dp), keeps a consortium's certificates
(fedmoe-certs) and shows a federation on one machine (fedmoe-demo).")
foreach(component NODE AGGREGATOR TOOLS)
    string(TOLOWER ${component} name)
    set(CPACK_DEBIAN_${component}_PACKAGE_NAME fedmoe-${name})
endforeach()
set(CPACK_DEBIAN_TOOLS_PACKAGE_RECOMMENDS "fedmoe-node, fedmoe-aggregator") # what fedmoe-demo starts
foreach(role node aggregator)
    string(TOUPPER ${role} component)
    set(scripts ${packaging}/debian/${role})
    set(CPACK_DEBIAN_${component}_PACKAGE_CONTROL_EXTRA
        ${scripts}/postinst ${scripts}/prerm ${scripts}/postrm ${scripts}/conffiles)
    set(CPACK_DEBIAN_${component}_PACKAGE_DEPENDS "passwd")
    set(CPACK_DEBIAN_${component}_PACKAGE_RECOMMENDS "libmicrohttpd12") # loaded with the first page
    set(CPACK_DEBIAN_${component}_PACKAGE_SUGGESTS "logrotate")
endforeach()
set(CPACK_DEBIAN_NODE_PACKAGE_SUGGESTS "logrotate, libodbc2") # which every driver brings along
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "privacy-preserving federated learning: results in Python
Opens what a federation has trained, in NumPy or PyTorch, and predicts as
fedmoe-model does.")
set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-fedmoe)
set(CPACK_DEBIAN_PYTHON_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3, python3-numpy, python3-yaml")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS "python3-torch")
include(CPack)
