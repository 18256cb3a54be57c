# One image for both services; the command chooses: apps/api/dist/server.js (default) or apps/worker/dist/main.js.
# The build steps are the ones that tests and `npm start` run: npm ci, then npm run build.
FROM node:24-bookworm AS build
WORKDIR /app
COPY . .
RUN npm ci && npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    TRITFORGE_HOST=0.0.0.0 \
    TRITFORGE_PORT=8080 \
    TRITFORGE_DATA_DIR=/var/lib/tritforge
WORKDIR /app
COPY --from=build /app /app
RUN mkdir -p /var/lib/tritforge && chown node:node /var/lib/tritforge
USER node
VOLUME /var/lib/tritforge
EXPOSE 8080
CMD ["node", "--enable-source-maps", "apps/api/dist/server.js"]
