// Serves aedes on loopback, and prints the port that it got from the system.
const { createServer } = require('node:net')
const aedes = require('aedes')()

const server = createServer(aedes.handle)
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
