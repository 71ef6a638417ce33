# What is installed where, by the three packages: a hospital's node, the coordinator's aggregator,
# and the tools of who makes models and looks after certificates.
include(GNUInstallDirs)

set(packaging ${PROJECT_SOURCE_DIR}/packaging)
set(unit_dir lib/systemd/system) # where Debian looks, whatever the architecture

# fedmoe_install_program(COMPONENT PROGRAM): the program, its man page and its completion.
function(fedmoe_install_program component program)
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
    set(made ${PROJECT_BINARY_DIR}/install/${program})
    add_custom_command(OUTPUT ${made}.1.gz ${made}.bash
        COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/install
        COMMAND gzip -9 -n -c ${PROJECT_SOURCE_DIR}/docs/man/${program}.1 > ${made}.1.gz
        COMMAND ${program} --completion > ${made}.bash
        DEPENDS ${program} ${PROJECT_SOURCE_DIR}/docs/man/${program}.1
        VERBATIM)
    add_custom_target(install-${program} ALL DEPENDS ${made}.1.gz ${made}.bash)
    install(FILES ${made}.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
    install(FILES ${made}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME ${program} COMPONENT ${component})
endfunction()

function(fedmoe_install_documents component)
    install(FILES ${ARGN} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fedmoe-${component}
        COMPONENT ${component})
    install(FILES ${packaging}/debian/copyright
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fedmoe-${component} COMPONENT ${component})
endfunction()

foreach(role node aggregator)
    fedmoe_install_program(${role} fedmoe-${role})
    install(FILES ${packaging}/systemd/fedmoe-${role}@.service DESTINATION ${unit_dir}
        COMPONENT ${role})
    install(FILES ${packaging}/logrotate/fedmoe-${role} DESTINATION /etc/logrotate.d
        COMPONENT ${role})
endforeach()
foreach(tool model dp certs demo)
    fedmoe_install_program(tools fedmoe-${tool})
endforeach()

set(docs ${PROJECT_SOURCE_DIR}/docs)
fedmoe_install_documents(node ${docs}/guide-hospital.md ${docs}/schema.md ${docs}/sources.md ${docs}/ledger.md
    ${docs}/security.md ${docs}/privacy.md ${docs}/pki.md ${docs}/metrics.md)
install(FILES ${packaging}/grafana/node.json
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fedmoe-node/grafana COMPONENT node)
fedmoe_install_documents(aggregator ${docs}/guide-coordinator.md ${docs}/queries.md ${docs}/metrics.md
    ${docs}/protocol.md ${docs}/security.md ${docs}/privacy.md ${docs}/pki.md)
install(FILES ${packaging}/grafana/fedmoe-aggregator.json
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fedmoe-aggregator/grafana COMPONENT aggregator)
fedmoe_install_documents(tools ${docs}/model.md ${docs}/text.md ${docs}/audit.md ${docs}/pki.md)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fedmoe-tools/examples COMPONENT tools)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/schemas ${PROJECT_SOURCE_DIR}/examples/omop
    ${PROJECT_SOURCE_DIR}/examples/fhir
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fedmoe-node/examples COMPONENT node)

# The Python package needs no program of ours.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/python/fedmoe DESTINATION lib/python3/dist-packages
    COMPONENT python FILES_MATCHING PATTERN "*.py" PATTERN __pycache__ EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/python/README.md ${packaging}/debian/copyright
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/python3-fedmoe COMPONENT python)
